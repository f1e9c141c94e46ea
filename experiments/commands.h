#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "run/config.h"

namespace CLI {
class App;
}

namespace templora {

// Each adds one subcommand, which runs while the command line is parsed and throws Error where it fails.
void add_run_command(CLI::App& app);
void add_generate_command(CLI::App& app);
void add_schema_command(CLI::App& app);
void add_cost_command(CLI::App& app);
void add_compare_command(CLI::App& app);
void add_verify_command(CLI::App& app);
void add_sweep_command(CLI::App& app);
void add_status_command(CLI::App& app);
void add_report_command(CLI::App& app);
void add_pool_command(CLI::App& app);
void add_tokenize_command(CLI::App& app);

/// The arguments of --set. Throws Error(usage) naming the one that is not key=value.
std::vector<Override> parse_overrides(const std::vector<std::string>& sets);

/// Creates a folder with its parents. Throws Error(resources).
void make_folder(const std::filesystem::path& folder);

/// Writes a command's result to standard output. Throws Error(resources) where it cannot be written.
void print_out(const std::string& text);
/// The same of what a run's folder holds too: an output that cannot be written does the run no harm.
void show_result(const std::string& text);

}  // namespace templora
