// SPDX-License-Identifier: Apache-2.0
// A static program that exits with a digit that stands in its file, behind a mark that a test can
// find: changing one byte makes it another program that can be told from the first by running it.
const volatile char mark[] = "bulkhead-marked-program:0";

int main() {
  return mark[sizeof mark - 2] - '0';
}
