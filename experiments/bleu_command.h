#pragma once

namespace CLI {
class App;
}

namespace templora {

/// Adds `templora bleu`, as commands.h says of the others.
void add_bleu_command(CLI::App& app);

}  // namespace templora
