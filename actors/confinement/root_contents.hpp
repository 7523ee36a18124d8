// SPDX-License-Identifier: Apache-2.0
// What the root of a confined program holds besides nothing.
//
// A dynamic program gets its loader and the libraries that it needs, all the way down: opened here
// and copied by the launcher into a file system of the instance's own, so that no page of the
// host's is in reach of the plugin. A script gets itself, at /script, and of its interpreter the
// same; and the folders of the interpreter's own library, bound read-only, because they are too
// large to copy. Grants add a directory, a device or a descriptor each.
//
// Libraries stand in /lib/x86_64-linux-gnu inside, where their loader looks without a cache;
// library_finder says where they come from, and extension_libraries which the modules of an
// interpreter need. What a program loads later, by name (dlopen), is not found: grant its
// directory.
#pragma once

#include <string>
#include <vector>

#include "actors/confinement/confinement.hpp"
#include "actors/confinement/library_finder.hpp"
#include "actors/launcher/protocol.hpp"
#include "actors/unique_fd.hpp"

namespace bulkhead {

struct placement {
  launcher::placement_kind kind = launcher::placement_kind::file;
  unique_fd what;
  std::string where;  // empty for a descriptor
};

/// The loader and the libraries of a program; of folders that are not the machine's own, those
/// beneath the directories of `grants`. Throws missing_content.
std::vector<placement> libraries_of(const unique_fd& program, const std::vector<grant>& grants);

/// Those of which the list has none of the same name yet.
void add_libraries(std::vector<placement>& to, std::vector<found_library> libraries);

/// Where the modules in C are that an interpreter of this path comes with; those that are there.
std::vector<std::string> module_folders_of(const std::string& interpreter);

/// The folders that an interpreter of this path reads its own library from; those that are there.
std::vector<placement> trees_of(const std::string& interpreter);

/// Is it something with a path? Variables and addresses are not.
bool is_placed(const grant& one);

/// Of the grants that are, in their order. Throws missing_content.
std::vector<placement> placements_of(const std::vector<grant>& grants);

struct script_start {
  std::string interpreter;  // a path, links resolved
  std::string argument;     // of the first line; may be empty
};

/// What the first line of a script asks for; "/usr/bin/env NAME" is looked up in the usual folders.
/// Throws missing_content.
script_start interpreter_of(const unique_fd& script);

inline constexpr const char* script_place = "/script";

}  // namespace bulkhead
