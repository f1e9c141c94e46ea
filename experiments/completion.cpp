// `templora completion`: what bash and zsh complete, from what the command line and the configs know.

#include "completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "commands.h"
#include "config/config_schema.h"

namespace templora {
namespace {

/// In single quotes for a shell.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

/// Words that a value can be: an enum's names, true and false, null.
void add_words(const Json& schema, std::vector<std::string>& words) {
  if (schema.contains("enum"))
    for (const Json& word : schema.at("enum"))
      words.push_back(word.is_string() ? word.get<std::string>() : word.dump());
  const Json type = schema.value("type", Json());
  for (const char* word : {"true", "false"})
    if (type == "boolean") words.push_back(word);
  if (type == "null") words.push_back("null");
  if (schema.contains("anyOf"))
    for (const Json& one : schema.at("anyOf")) add_words(one, words);
}

using Words = std::vector<std::pair<std::string, std::vector<std::string>>>;

/// Config keys and the words that their values can be.
const Words& config_words() {
  static const Words all = [] {
    Words keys;
    for (const auto& [key, schema] : config_key_schemas()) {
      keys.emplace_back(key, std::vector<std::string>());
      add_words(schema, keys.back().second);
    }
    return keys;
  }();
  return all;
}

std::string config_key_list() {
  std::vector<std::string> keys;
  for (const auto& [key, words] : config_words()) keys.push_back(key);
  return joined(keys);
}

/// Calls `v(place, option)` for each option of a command that takes a value, where place is "run:--set".
template <class Visitor>
void visit_values(const std::vector<CommandWords>& commands, Visitor&& v) {
  for (const CommandWords& command : commands)
    for (const OptionWords& option : command.options) {
      std::vector<std::string> places;
      for (const std::string& name : option.names) places.push_back(command.name + ":" + name);
      if (option.takes_value && !places.empty()) v(fmt::format("{}", fmt::join(places, "|")), option);
    }
}

bool is_set(const OptionWords& option) { return option.names == std::vector<std::string>{"--set"}; }

std::vector<std::string> option_names(const CommandWords& command) {
  std::vector<std::string> names;
  for (const OptionWords& option : command.options) names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

std::vector<std::string> argument_words(const CommandWords& command) {
  for (const OptionWords& option : command.options)
    if (option.names.empty() && !option.values.empty()) return option.values;
  return {};
}

/// "name:help" as zsh's _describe takes it.
std::string described(const std::string& name, const std::string& help) {
  std::string text;
  for (const char c : name) text += c == ':' ? std::string("\\:") : std::string(1, c);
  return quoted(text + ":" + help);
}

}  // namespace

std::string bash_completion(const std::vector<CommandWords>& commands) {
  std::vector<std::string> names;
  std::string values, options, places, sets, arguments;
  for (const CommandWords& command : commands) {
    names.push_back(command.name);
    options += fmt::format("      {}) words={} ;;\n", command.name, quoted(joined(option_names(command))));
    if (const auto words = argument_words(command); !words.empty())
      arguments += fmt::format("    {}) _templora_words {} \"$cur\"; return ;;\n", command.name, quoted(joined(words)));
  }
  for (const auto& [key, words] : config_words())
    if (!words.empty()) values += fmt::format("    {}) words={} ;;\n", key, quoted(joined(words)));
  visit_values(commands, [&](const std::string& place, const OptionWords& option) {
    if (is_set(option))
      sets += (sets.empty() ? "" : "|") + place;
    else if (!option.values.empty())
      places += fmt::format("    {}) _templora_words {} \"$cur\"; return ;;\n", place, quoted(joined(option.values)));
    else
      places += fmt::format("    {}) _templora_files \"$cur\"; return ;;\n", place);
  });
  return fmt::format(R"(# bash completion of templora, printed by: templora completion bash
_templora_words() {{ mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2"); }}
_templora_files() {{
  compopt -o filenames 2> /dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$1")
}}

# What a config key may be, words or files; $3 stands before each word.
_templora_value() {{
  local words=
  case $1 in
{values}  esac
  if [[ $words ]]; then
    mapfile -t COMPREPLY < <(compgen -P "$3" -W "$words" -- "$2")
  elif [[ ! $3 ]]; then
    _templora_files "$2"
  fi
}}

_templora() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}} key= words=
  COMPREPLY=()
  if (( COMP_CWORD == 1 )); then
    _templora_words {commands} "$cur"
    return
  fi
  # "=" breaks words: behind `--set a.b=` the key is one word and "=" the next.
  if [[ $cur == = ]]; then
    key=$prev cur=
  elif [[ $prev == = ]]; then
    key=${{COMP_WORDS[COMP_CWORD-2]}}
  fi
  if [[ $key == -* ]]; then
    prev=$key
  elif [[ $key ]]; then
    _templora_value "$key" "$cur" ""
    return
  fi
  case $command:$prev in
    {sets})
      if [[ $cur == *=* ]]; then
        _templora_value "${{cur%%=*}}" "${{cur#*=}}" "${{cur%%=*}}="
      else
        compopt -o nospace 2> /dev/null
        mapfile -t COMPREPLY < <(compgen -S = -W {keys} -- "$cur")
      fi
      return ;;
{places}  esac
  if [[ $cur == -* ]]; then
    case $command in
{options}    esac
    _templora_words "$words" "$cur"
    return
  fi
  case $command in
{arguments}  esac
  _templora_files "$cur"
}}
complete -F _templora templora
)",
                     fmt::arg("values", values), fmt::arg("commands", quoted(joined(names))), fmt::arg("sets", sets),
                     fmt::arg("keys", quoted(config_key_list())), fmt::arg("places", places),
                     fmt::arg("options", options), fmt::arg("arguments", arguments));
}

std::string zsh_completion(const std::vector<CommandWords>& commands) {
  std::string names, values, places, sets, options, arguments;
  for (const CommandWords& command : commands) {
    names += fmt::format("      {}\n", described(command.name, command.help));
    std::string list;
    for (const OptionWords& option : command.options)
      for (const std::string& name : option.names)
        list += fmt::format("        {}\n", described(name, option.help));
    options += fmt::format("      ({}) options=(\n{}        ) ;;\n", command.name, list);
    if (const auto words = argument_words(command); !words.empty())
      arguments += fmt::format("    ({}) compadd -- {}; return ;;\n", command.name, joined(words));
  }
  for (const auto& [key, words] : config_words())
    if (!words.empty()) values += fmt::format("          ({}) compadd -- {} ;;\n", key, joined(words));
  visit_values(commands, [&](const std::string& place, const OptionWords& option) {
    if (is_set(option))
      sets += (sets.empty() ? "" : "|") + place;
    else if (!option.values.empty())
      places += fmt::format("    ({}) compadd -- {}; return ;;\n", place, joined(option.values));
    else
      places += fmt::format("    ({}) _files; return ;;\n", place);
  });
  return fmt::format(R"(#compdef templora
# zsh completion of templora, printed by: templora completion zsh
_templora() {{
  local -a commands options
  local key
  if (( CURRENT == 2 )); then
    commands=(
{names}    )
    _describe command commands
    return
  fi
  case $words[2]:$words[CURRENT-1] in
    ({sets})
      if [[ $PREFIX == *=* ]]; then
        key=${{PREFIX%%=*}}
        compset -P '*='
        case $key in
{values}          (*) _files ;;
        esac
      else
        compadd -S = -- {keys}
      fi
      return ;;
{places}  esac
  if [[ $PREFIX == -* ]]; then
    case $words[2] in
{options}    esac
    _describe option options
    return
  fi
  case $words[2] in
{arguments}  esac
  _files
}}
if [[ $funcstack[1] == _templora ]]; then
  _templora "$@"
else
  compdef _templora templora
fi
)",
                     fmt::arg("names", names), fmt::arg("sets", sets), fmt::arg("values", values),
                     fmt::arg("keys", config_key_list()), fmt::arg("places", places), fmt::arg("options", options),
                     fmt::arg("arguments", arguments));
}

void add_completion_command(CommandLine& line) {
  const auto shell = std::make_shared<std::string>();
  Command command = line.command("completion", "print a shell's completion of commands, options and config keys");
  command.option("shell", *shell, "bash or zsh").required().one_of({"bash", "zsh"});
  command.examples({"source <(templora completion bash)                  # in ~/.bashrc",
                    "templora completion zsh > ~/.zfunc/_templora        # a folder of zsh's fpath"});
  command.action([shell, &line] {
    print_out(*shell == "bash" ? bash_completion(line.words()) : zsh_completion(line.words()));
  });
}

}  // namespace templora
