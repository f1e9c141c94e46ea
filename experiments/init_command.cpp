// `templora init`: a first config.

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "commands.h"
#include "config/config_file.h"
#include "config/config_inputs.h"
#include "config/first_config.h"
#include "config/model_folder.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "experiment/machine.h"

namespace templora {
namespace {

constexpr const char* kUsualModel = "models/small-6m";
// Where texts are looked for, in this order; the last is what scripts/templora makes.
constexpr const char* kUsualBooks[] = {"books/*.txt", "data/*.txt", "build/data/kjv.txt"};

struct InitArguments {
  std::string model, out = "config.json";
  std::vector<std::string> books;
};

std::string model_of(const InitArguments& arguments) {
  if (!arguments.model.empty()) return arguments.model;
  if (fs::exists(fs::path(kUsualModel) / "config.json")) return kUsualModel;
  throw Error(Exit::usage, fmt::format("--model: got nothing, and there is no {} here; name a model folder, or "
                                       "org/name of one in the local Hugging Face cache",
                                       kUsualModel));
}

bool are_there(const std::string& pattern) {
  try {
    return !expand_globs({pattern}, ".").empty();
  } catch (const Error&) {
    return false;
  }
}

std::vector<std::string> books_of(const InitArguments& arguments) {
  if (!arguments.books.empty()) {
    expand_globs(arguments.books, ".");
    return arguments.books;
  }
  for (const char* usual : kUsualBooks)
    if (are_there(usual)) return {usual};
  log_line(fmt::format("no texts in books/ or data/: the config names {}; put UTF-8 texts there, or use --books",
                       kUsualBooks[0]));
  return {kUsualBooks[0]};
}

// What most of a published model's weights are, where this machine is quick at it; Hugging Face writes either name.
Dtype dtype_of(const fs::path& model) {
  if (!has_bfloat16_kernels(device_of(ModelConfig().device))) return Dtype::float32;
  const fs::path file = model / "config.json";
  const Json config = parse_foreign_json(read_file(file), file.string());
  const std::string name = config.value("dtype", config.value("torch_dtype", Json("bfloat16"))).dump();
  return name == "\"float32\"" ? Dtype::float32 : Dtype::bfloat16;
}

void init(const InitArguments& arguments) {
  const fs::path file = arguments.out;
  if (fs::exists(fs::symlink_status(file)))
    throw Error(Exit::usage, fmt::format("{}: is there already and is not overwritten; name another file with --out",
                                         shown_path(file)));
  const fs::path here = normal_path(fs::current_path());
  const fs::path folder = normal_path(fs::absolute(file)).parent_path();
  // Relative to the file only below this folder: from elsewhere a chain of ".." leads astray where a folder on the way
  // is a link, and as soon as the file is moved.
  const bool is_below = std::mismatch(here.begin(), here.end(), folder.begin(), folder.end()).first == here.end();
  const auto named_from_there = [&](const std::string& path, bool repository, bool pattern) {
    const std::string moved = moved_path(path, repository, pattern, here, is_below ? folder : folder.root_path());
    return is_below || moved == path ? moved : (folder.root_path() / moved).string();
  };
  const std::string model = model_of(arguments);
  const fs::path model_folder = find_model(model, here);
  require_model_folder(model_folder, model);
  FirstConfig first;
  first.model = named_from_there(model, true, false);
  first.shape = read_model_shape(model_folder);
  first.dtype = dtype_of(model_folder);
  for (const std::string& book : books_of(arguments))
    first.books.push_back(named_from_there(book, false, true));
  const std::string text = first_config(first);
  parse_config(text, file.string(), folder.string(), {});  // what is written can be read
  make_folder(folder);
  write_file_atomically(file, text);
  const std::string name = shown_path(file);
  log_line(fmt::format("wrote {0}; templora run {0} --dry-run says what it would take", name));
}

}  // namespace

void add_init_command(CommandLine& line) {
  const auto arguments = std::make_shared<InitArguments>();
  Command command = line.command("init", "write a first config that fits a model, with comments");
  command.option("--model", arguments->model,
                 fmt::format("model folder, or org/name of one in the local Hugging Face cache; default {}",
                             kUsualModel));
  command.option("--books", arguments->books,
                 "texts or patterns in quotes; default: what is in books/ or data/, or the Bible of the quickstart");
  command.option("--out", arguments->out, "the config's file; default config.json. Never overwritten");
  command.examples({"templora init --model models/small-6m --books 'books/*.txt'",
                    "templora init --model HuggingFaceTB/SmolLM2-135M --books moby-dick.txt --out moby.json"});
  command.action([arguments] { init(*arguments); });
}

}  // namespace templora
