// The command line: starts what it asks for, turns errors into one line and an exit code.

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "bleu_command.h"
#include "commands.h"
#include "core/error.h"
#include "core/file_descriptor.h"
#include "core/log.h"
#include "program_end.h"

namespace {

using namespace templora;

// A closed standard stream's number would go to the next file opened, and log lines into that run's records.
void open_standard_streams() {
  int fd = 0;
  do fd = ::open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd > STDERR_FILENO) ::close(fd);
}

// Of a config with several mistakes each is a line.
int report(Exit code, const std::string& message) {
  for (std::size_t start = 0, end = 0; end != message.npos; start = end + 1) {
    end = message.find('\n', start);
    log_line(message.substr(start, end - start));
  }
  return int(code);
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  CommandLine line("templora: Temp-LoRA (arXiv 2401.11504), a temporary LoRA trained on a text as it streams by",
                   "templora " TEMPLORA_VERSION);

  add_init_command(line);
  add_run_command(line);
  add_adapt_command(line);
  add_generate_command(line);
  add_schema_command(line);
  add_cost_command(line);
  add_compare_command(line);
  add_pool_command(line);
  add_verify_command(line);
  add_sweep_command(line);
  add_status_command(line);
  add_list_command(line);
  add_watch_command(line);
  add_report_command(line);
  add_tokenize_command(line);
  add_exposure_command(line);
  add_data_command(line);
  add_bleu_command(line);
  add_merge_command(line);
  add_average_command(line);
  add_completion_command(line);
  try {
    return int(line.run(argc, argv) ? Exit::done : Exit::usage);
  } catch (...) {
    const ProgramEnd end = describe_exception();
    return report(end.exit, end.line);
  }
}
