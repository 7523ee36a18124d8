// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/config_commands.hpp"

namespace bulkhead::cli {

std::vector<command_spec> config_commands() {
  const flag_spec prune{"prune", '\0', "",
                        "Unmount what the file lists no more, and delete its data"};
  return {
      {command_id::config_check,
       "config check",
       "State",
       {{"FILE"}},
       {},
       "Judge a configuration file, without a broker",
       "An error is shown with its line.\n",
       {"config check /etc/bulkhead.toml"}},
      {command_id::config_diff,
       "config diff",
       "State",
       {},
       {prune},
       "Show what `config apply` would do",
       "Compares the file that the broker was started with, as it is now, with what the broker\n"
       "holds. What operators made is left alone; where it stands in the way, that is a problem.\n",
       {"config diff", "config diff --prune"}},
      {command_id::config_apply,
       "config apply",
       "State",
       {},
       {prune},
       "Make releases, pins and mounts what the configuration file says",
       "So does every start of the broker, and SIGHUP to it. Each change has its own outcome; "
       "exits\n"
       "with 1 when one could not be made. A file with an error changes nothing. A mount that the\n"
       "file lists no more stays, with its data, until --prune. Waits for the end without "
       "--timeout.\n",
       {"config apply", "config apply --prune"}},
      {command_id::config_show,
       "config show",
       "State",
       {},
       {},
       "Show what the configuration file has brought",
       "",
       {"config show -o json"}},
  };
}

}  // namespace bulkhead::cli
