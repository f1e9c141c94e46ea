#pragma once

#include <string>
#include <vector>

#include "command_line.h"

namespace templora {

/// A shell's completion of the program: commands, options, their words, files, and config keys with their words behind
/// --set.
std::string bash_completion(const std::vector<CommandWords>& commands);
std::string zsh_completion(const std::vector<CommandWords>& commands);

}  // namespace templora
