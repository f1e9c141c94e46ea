#include "command_line.h"

#include <CLI/CLI.hpp>

#include <utility>

namespace templora {

Option& Option::required() {
  option_->required();
  return *this;
}

Option& Option::one_of(const std::vector<std::string>& words) {
  option_->check(CLI::IsMember(words));
  return *this;
}

Option& Option::between(std::int64_t least, std::int64_t most) {
  if (most != std::numeric_limits<std::int64_t>::max())
    option_->check(CLI::Range(least, most));
  else
    option_->check(least > 0 ? CLI::PositiveNumber : CLI::NonNegativeNumber);
  return *this;
}

Option& Option::value_name(const std::string& name) {
  option_->type_name(name);
  return *this;
}

Option& Option::repeatable() {
  option_->take_all()->expected(1);
  return *this;
}

Option& Option::separated_by(char mark) {
  option_->delimiter(mark);
  return *this;
}

Option Command::option(const std::string& name, std::string& value, const std::string& help) {
  return Option(app_->add_option(name, value, help));
}
Option Command::option(const std::string& name, int& value, const std::string& help) {
  return Option(app_->add_option(name, value, help));
}
Option Command::option(const std::string& name, std::int64_t& value, const std::string& help) {
  return Option(app_->add_option(name, value, help));
}
Option Command::option(const std::string& name, double& value, const std::string& help) {
  return Option(app_->add_option(name, value, help));
}
Option Command::option(const std::string& name, std::optional<double>& value, const std::string& help) {
  return Option(app_->add_option(name, value, help));
}
Option Command::option(const std::string& name, std::vector<std::string>& values, const std::string& help) {
  return Option(app_->add_option(name, values, help));
}
Option Command::option(const std::string& name, std::vector<std::int64_t>& values, const std::string& help) {
  return Option(app_->add_option(name, values, help));
}

void Command::flag(const std::string& name, bool& value, const std::string& help) { app_->add_flag(name, value, help); }

void Command::action(std::function<void()> run) { app_->callback(std::move(run)); }

void Command::examples(const std::vector<std::string>& lines) {
  std::string footer = "Examples:";
  for (const std::string& line : lines) footer += "\n  " + line;
  app_->footer(footer);
}

CommandLine::CommandLine(const std::string& help, const std::string& version) : app_(std::make_unique<CLI::App>(help)) {
  app_->set_version_flag("--version", version);
  app_->require_subcommand(1);
}
CommandLine::~CommandLine() = default;

Command CommandLine::command(const std::string& name, const std::string& help) {
  return Command(app_->add_subcommand(name, help));
}

std::vector<CommandWords> CommandLine::words() const {
  std::vector<CommandWords> commands;
  for (const CLI::App* app : app_->get_subcommands([](const CLI::App*) { return true; })) {
    CommandWords& command = commands.emplace_back(CommandWords{app->get_name(), app->get_description(), {}});
    for (const CLI::Option* option : app->get_options()) {
      OptionWords words;
      for (const std::string& name : option->get_lnames()) words.names.push_back("--" + name);
      for (const std::string& name : option->get_snames()) words.names.push_back("-" + name);
      words.help = option->get_description();
      words.takes_value = option->get_items_expected_max() > 0;
      // IsMember tells its words in the name of the type only: "TEXT:{a,b}".
      const std::string type = option->get_type_name();
      const std::size_t open = type.find('{'), close = type.find('}');
      if (open != type.npos && close != type.npos)
        words.values = CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
      command.options.push_back(std::move(words));
    }
  }
  return commands;
}

bool CommandLine::run(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
    return true;
  } catch (const CLI::ParseError& error) {
    return app_->exit(error) == 0;
  }
}

}  // namespace templora
