#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "command_line.h"
#include "config/config.h"

namespace templora {

// Each adds one subcommand, which runs while the command line is parsed and throws Error where it fails.
void add_init_command(CommandLine& line);
void add_merge_command(CommandLine& line);
void add_average_command(CommandLine& line);
void add_completion_command(CommandLine& line);
void add_run_command(CommandLine& line);
void add_adapt_command(CommandLine& line);
void add_generate_command(CommandLine& line);
void add_schema_command(CommandLine& line);
void add_cost_command(CommandLine& line);
void add_compare_command(CommandLine& line);
void add_verify_command(CommandLine& line);
void add_sweep_command(CommandLine& line);
void add_status_command(CommandLine& line);
void add_list_command(CommandLine& line);
void add_watch_command(CommandLine& line);
void add_report_command(CommandLine& line);
void add_pool_command(CommandLine& line);
void add_tokenize_command(CommandLine& line);
void add_data_command(CommandLine& line);
void add_exposure_command(CommandLine& line);

/// The arguments of --set. Throws Error(usage) naming the one that is not key=value.
std::vector<Override> parse_overrides(const std::vector<std::string>& sets);

/// Creates a folder with its parents. Throws Error(resources).
void make_folder(const std::filesystem::path& folder);

/// Writes a command's result to standard output. Throws Error(resources) where it cannot be written.
void print_out(const std::string& text);
/// The same of what a run's folder holds too: an output that cannot be written does the run no harm.
void show_result(const std::string& text);

}  // namespace templora
