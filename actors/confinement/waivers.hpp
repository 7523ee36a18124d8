// SPDX-License-Identifier: Apache-2.0
#pragma once

// What an operator can do about a start that was refused for a missing wall. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "actors/confinement/confinement.hpp"

namespace bulkhead {

/// `missing`, for which the start was refused, and all others that the report's profile requires,
/// that nobody waived, and that were tried and do not stand: so that one need not find out one by
/// one. In the order of reports.
std::vector<std::string_view> walls_to_waive(const confinement_report& found, wall missing);

/// The same as flags of the command line: "--waive uid --waive groups".
std::string waiver_flags(const confinement_report& found, wall missing);

/// How to come by the wall instead: "make the machine offer it", or what keeps it away where the
/// errno of the report says so.
std::string_view way_to_have(const confinement_report& found, wall missing);

}  // namespace bulkhead
