// SPDX-License-Identifier: Apache-2.0
#pragma once

// The files of minisign: public keys, secret keys, signatures. What is written here `minisign`
// reads, and the other way round.
//
// A public key is two lines, a comment and 42 bytes in base64; the second line alone will do. A
// secret key is taken only when it is not encrypted (`minisign -G -W`): the file's mode protects
// it, as it does an SSH host key. A signature is four lines:
//
//     untrusted comment: anything; nobody signs it
//     base64 of: algorithm, 8 bytes of hint, signature of the file
//     trusted comment: one line
//     base64 of: signature of the signature above and of the trusted comment
//
// Algorithm "ED" signs the BLAKE2b-512 of the file, "Ed" (old) the file itself. Several signatures
// of the same file may stand one after another; each by itself satisfies `minisign -V`.
//
// Strict where minisign is lenient: nothing may follow, base64 has one spelling, comments have no
// control characters but tabs. Limits: 64 KiB and 16 signatures in a file, 1024 bytes in a comment.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "broker/trust/ed25519.hpp"
#include "broker/trust/refusal.hpp"

namespace bulkhead::trust {

inline constexpr std::size_t signature_file_bytes_max = 64 * 1024;
inline constexpr std::size_t signature_blocks_max = 16;
inline constexpr std::size_t comment_bytes_max = 1024;
inline constexpr std::size_t key_file_bytes_max = 4096;

/// Says which keys are worth trying on a signature. Chosen by whoever made the key: no identity.
using key_hint = std::array<std::uint8_t, 8>;

/// As minisign shows it: 16 digits in upper case.
std::string to_text(const key_hint& hint);

struct minisign_public_key {
  key_hint hint{};
  public_key key;
};

struct minisign_secret_key {
  key_hint hint{};
  secret_key key;

  minisign_public_key verifier() const { return {hint, key.verifier()}; }
};

/// A new key with a hint, both random.
minisign_secret_key generate_key();

/// Two lines with a comment, or the second one alone; also with no newline at the end. Throws
/// `refusal`, also for a key that is not sound.
minisign_public_key parse_public_key(std::string_view text);

/// The second line of the file, without its newline.
std::string public_key_text(const minisign_public_key& key);

/// Both lines. Without a comment it names the hint, as minisign does. Throws `refusal` for a
/// comment that is no line.
std::string print_public_key(const minisign_public_key& key, std::string_view comment = {});

/// Throws `refusal`: encrypted, damaged (checksum), or of a pair that does not belong together. No
/// text of it holds a part of the file.
minisign_secret_key parse_secret_key(std::string_view text);

/// Cleanse it after use.
std::string print_secret_key(const minisign_secret_key& key);

struct signature_block {
  bool hashed = true;  ///< "ED"
  key_hint hint{};
  signature of_file{};
  std::string untrusted_comment;
  std::string trusted_comment;
  signature of_comment{};  ///< covers `of_file` and `trusted_comment`
};

/// All signatures of a file, at least one. Throws `refusal`, naming the line.
std::vector<signature_block> parse_signatures(std::string_view text);
std::string print_signature(const signature_block& block);

/// A signature ("ED") of `bytes`. The trusted comment is one line; throws `refusal` for one
/// that a signature file cannot hold.
signature_block sign_file(std::string_view bytes, const minisign_secret_key& key,
                          std::string_view trusted_comment);

/// True when `key` made both signatures of the block, the one over the file and the one over the
/// comment, whatever the hint says.
bool fits(const signature_block& block, const public_key& key, std::string_view bytes);

}  // namespace bulkhead::trust
