#pragma once

#include "command_line.h"

namespace templora {

/// Adds `templora bleu`, as commands.h says of the others.
void add_bleu_command(CommandLine& line);

}  // namespace templora
