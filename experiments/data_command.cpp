// `templora data`: the texts, novels and models of the paper's tables, by name.

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "commands.h"
#include "core/data_manifest.h"
#include "core/error.h"
#include "core/json.h"
#include "core/nearest.h"
#include "report/markdown.h"

namespace templora {
namespace {

struct DataArguments {
  std::string action, manifest;
  std::vector<std::string> what;
  bool json = false, all = false;
};

/// A set and where its files are looked for.
struct DataPlace {
  const DataSet* set;
  fs::path folder;
};

/// The set that a folder anywhere holds: one whose folder has that name, else the one with most files there by name of
/// those of which a file has the manifest's size. Every model has a config.json: names alone prove nothing.
DataPlace set_in(const std::vector<DataSet>& sets, const fs::path& folder) {
  const auto has_size = [&](const DataFile& file) {
    std::error_code none;
    return file.bytes && fs::file_size(folder / file.name, none) == std::uintmax_t(*file.bytes) && !none;
  };
  const DataSet* best = nullptr;
  std::pair<bool, std::size_t> most{false, 0};
  for (const DataSet& set : sets) {
    std::pair<bool, std::size_t> fits{fs::path(set.folder).filename() == folder.filename(), 0};
    for (const DataFile& file : set.files) fits.second += data_file_is_there(file, folder);
    const bool proven = fits.first || std::any_of(set.files.begin(), set.files.end(), has_size);
    if (proven && fits > most) most = fits, best = &set;
  }
  if (!best)
    throw Error(Exit::bad_input, fmt::format("{}: got a folder that is none of the manifest's sets by its files, "
                                             "wanted one that scripts/get-data filled; see templora data list",
                                             shown_path(folder)));
  return {best, folder};
}

std::vector<DataPlace> places(const std::vector<DataSet>& sets, const fs::path& root,
                          const std::vector<std::string>& what) {
  std::vector<DataPlace> found;
  std::vector<std::string> names;
  for (const DataSet& set : sets) names.push_back(set.name);
  if (what.empty())
    for (const DataSet& set : sets) found.push_back({&set, (root / set.folder).lexically_normal()});
  for (const std::string& word : what) {
    const auto named = std::find(names.begin(), names.end(), word);
    if (named != names.end()) {
      const DataSet& set = sets[std::size_t(named - names.begin())];
      found.push_back({&set, (root / set.folder).lexically_normal()});
    } else if (fs::is_directory(word)) {
      found.push_back(set_in(sets, normal_path(word)));
    } else {
      throw Error(Exit::usage, fmt::format("data: got {}, wanted a folder or a name of the manifest, such as {}; see "
                                           "templora data list",
                                           printable(word), nearest_name(word, names)));
    }
  }
  return found;
}

std::string tokens_of(const DataFile& file) {
  std::string words;
  for (const auto& [tokenizer, count] : file.tokens)
    words += fmt::format("{}{} {}", words.empty() ? "" : ", ", grouped(count), tokenizer);
  return words;
}

struct Checked {
  std::vector<std::pair<const DataFile*, CheckedFile>> files;
  std::size_t good = 0, missing = 0, wrong = 0;
};

Checked checked(const DataPlace& place) {
  Checked result;
  for (const DataFile& file : place.set->files) {
    result.files.emplace_back(&file, check_data_file(file, place.folder));
    switch (result.files.back().second.state) {
      case DataState::missing: ++result.missing; break;
      case DataState::wrong: ++result.wrong; break;
      case DataState::right:
      case DataState::there: ++result.good;
    }
  }
  return result;
}

void print_checked(const DataPlace& place, const Checked& result, const DataArguments& arguments) {
  const DataSet& set = *place.set;
  const bool nothing = result.missing == set.files.size();  // then one line says it all
  for (const auto& [file, found] : result.files) {
    const std::string path = (place.folder / file->name).lexically_normal().string();
    if (arguments.json) {
      const Json line{{"set", set.name}, {"file", path}, {"state", word_of(found.state)}, {"detail", found.detail}};
      print_out(dump_json(line, path) + "\n");
    } else if (arguments.all || found.state == DataState::wrong || (found.state == DataState::missing && !nothing)) {
      print_out(fmt::format("{:<8}{}{}{}\n", word_of(found.state), printable(path, 1000),
                            found.detail.empty() ? "" : ": ", found.detail));
    }
  }
  if (arguments.json) return;
  std::string line = fmt::format("{}: {} of {} in {}", set.name, result.good, set.files.size(),
                                 shown_path(place.folder));
  if (result.wrong > 0) line += fmt::format(", {} wrong", result.wrong);
  if (result.missing > 0 && !set.get.empty()) line += fmt::format("; {} gets what is missing", set.get);
  print_out(line + "\n");
}

void check(const DataArguments& arguments, const std::vector<DataSet>& sets, const fs::path& root) {
  std::size_t bad = 0, whole = 0, absent = 0;
  for (const DataPlace& place : places(sets, root, arguments.what)) {
    const Checked result = checked(place);
    print_checked(place, result, arguments);
    // Of all sets nobody wants every one: one of which nothing is there is no fault unless it was asked for.
    const bool wanted = !arguments.what.empty() || result.missing < place.set->files.size();
    bad += result.wrong + (wanted ? result.missing : 0);
    whole += result.good == place.set->files.size();
    absent += result.missing == place.set->files.size();
  }
  if (arguments.what.empty() && !arguments.json)
    print_out(fmt::format("{} of {} sets are whole; of {} nothing is there, which is a fault only where a set is asked "
                          "for by name\n",
                          whole, sets.size(), absent));
  if (bad > 0)
    throw Error(Exit::bad_input,
                fmt::format("data check: {} file{} missing or wrong", bad, bad == 1 ? " is" : "s are"));
}

void list_sets(const DataArguments& arguments, const std::vector<DataSet>& sets, const fs::path& root) {
  std::string table = "| name | what | files | there | bytes | folder | get it with |\n";
  table += "| --- | --- | ---: | ---: | ---: | --- | --- |\n";
  for (const DataSet& set : sets) {
    std::int64_t bytes = 0, there = 0;
    bool known = true;
    for (const DataFile& file : set.files) {
      known = known && file.bytes;
      bytes += file.bytes.value_or(0);
      there += data_file_is_there(file, root / set.folder);
    }
    if (arguments.json) {
      const Json line{{"set", set.name},         {"what", set.what},       {"files", set.files.size()},
                      {"there", there},          {"bytes", bytes},         {"bytes_known", known},
                      {"folder", set.folder},    {"licence", set.licence}, {"get", set.get},
                      {"unknown", set.unknown}};
      print_out(dump_json(line, set.name) + "\n");
    } else {
      const std::string size = bytes == 0 ? kDash : grouped(bytes) + (known ? "" : " and more");
      table += fmt::format("| {} | {} | {} | {} | {} | {} | `{}` |\n", set.name, escaped(set.what), set.files.size(),
                           there, size, set.folder, set.get);
    }
  }
  if (!arguments.json) print_out(table);
}

void list_files(const DataArguments& arguments, const DataPlace& place) {
  const DataSet& set = *place.set;
  std::string table = "| file | bytes | tokens | SHA-256 |\n| --- | ---: | --- | --- |\n";
  for (const DataFile& file : set.files) {
    if (arguments.json) {
      Json line{{"set", set.name},
                {"file", file.name},
                {"bytes", optional_json(file.bytes)},
                {"sha256", optional_json(file.sha256)},
                {"tokens", Json::object()}};
      for (const auto& [tokenizer, count] : file.tokens) line["tokens"][tokenizer] = count;
      print_out(dump_json(line, file.name) + "\n");
    } else {
      table += fmt::format("| {} | {} | {} | {} |\n", escaped(file.name), file.bytes ? grouped(*file.bytes) : kDash,
                           file.tokens.empty() ? kDash : tokens_of(file), file.sha256.value_or(kDash));
    }
  }
  if (arguments.json) return;
  print_out(fmt::format("{}: {}\n\nLicence: {}\nFolder: {}\nGet it with: {}\n{}\n{}", set.name, set.what, set.licence,
                        set.folder, set.get, set.unknown.empty() ? "" : "Not known: " + set.unknown + "\n", table));
}

void list(const DataArguments& arguments, const std::vector<DataSet>& sets, const fs::path& root) {
  if (arguments.what.empty()) return list_sets(arguments, sets, root);
  for (const DataPlace& place : places(sets, root, arguments.what)) list_files(arguments, place);
}

}  // namespace

void add_data_command(CommandLine& line) {
  auto arguments = std::make_shared<DataArguments>();
  Command command = line.command("data", "texts, novels and models by name: list them, or check what is there");
  command
      .option("ACTION", arguments->action,
              "list: names, or with names their files; check: size and SHA-256 of each file against the manifest; "
              "exit code 3 where a file is wrong, or missing from a set that is named or begun")
      .required()
      .one_of({"list", "check"});
  command.option("WHAT", arguments->what, "names that `templora data list` prints, or folders; default: all");
  command.option("--manifest", arguments->manifest, "default: data/manifest.json of the checkout");
  command.flag("--all", arguments->all, "of check: print what is right too");
  command.flag("--json", arguments->json, "one JSON object a line");
  command.examples({"templora data list", "templora data check pg19", "templora data check ../books/pg19 --json"});
  command.action([arguments] {
    const fs::path file = arguments->manifest.empty() ? find_data_manifest() : fs::path(arguments->manifest);
    const std::vector<DataSet> sets = read_data_manifest(file);
    const fs::path root =
        normal_path(fs::absolute(file).parent_path().parent_path()).lexically_proximate(fs::current_path());
    (arguments->action == "list" ? list : check)(*arguments, sets, root);
  });
}

}  // namespace templora
