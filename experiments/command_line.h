#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace templora {

// The command line, over CLI11: its header takes twenty seconds to compile, so one file alone reads it.

/// One option of a command; the functions return it again.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}
  Option& required();
  Option& one_of(const std::vector<std::string>& words);
  /// The number is from `least` to `most`.
  Option& between(std::int64_t least, std::int64_t most = std::numeric_limits<std::int64_t>::max());
  /// What --help calls its value.
  Option& value_name(const std::string& name);
  /// Each use takes one value, and the option may be used again.
  Option& repeatable();
  Option& separated_by(char mark);

 private:
  CLI::Option* option_;
};

/// A subcommand. A value must outlive the command line.
class Command {
 public:
  explicit Command(CLI::App* app) : app_(app) {}
  Option option(const std::string& name, std::string& value, const std::string& help);
  Option option(const std::string& name, int& value, const std::string& help);
  Option option(const std::string& name, std::int64_t& value, const std::string& help);
  Option option(const std::string& name, double& value, const std::string& help);
  Option option(const std::string& name, std::optional<double>& value, const std::string& help);
  Option option(const std::string& name, std::vector<std::string>& values, const std::string& help);
  Option option(const std::string& name, std::vector<std::int64_t>& values, const std::string& help);
  void flag(const std::string& name, bool& value, const std::string& help);
  /// Runs when this command was asked for and its options were read.
  void action(std::function<void()> run);
  /// Lines under --help, each a whole command.
  void examples(const std::vector<std::string>& lines);

 private:
  CLI::App* app_;
};

/// What a shell has to know of an option, or of an argument without a name.
struct OptionWords {
  std::vector<std::string> names;   ///< "--set"; none of an argument
  std::string help;
  bool takes_value = false;
  std::vector<std::string> values;  ///< of one_of()
};

struct CommandWords {
  std::string name, help;
  std::vector<OptionWords> options;
};

/// The program's command line.
class CommandLine {
 public:
  CommandLine(const std::string& help, const std::string& version);
  ~CommandLine();
  Command command(const std::string& name, const std::string& help);
  /// Reads the arguments and runs what they ask for. → whether they could be read; if not, the reason was printed.
  /// Throws what the command throws.
  bool run(int argc, char** argv);
  /// All commands so far, with their options.
  std::vector<CommandWords> words() const;

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace templora
