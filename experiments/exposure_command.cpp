// `templora exposure`: does a model know these texts by heart?

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "commands.h"
#include "config/config_fields.h"
#include "config/model_folder.h"
#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "core/stop.h"
#include "experiment/exposure.h"
#include "experiment/machine.h"
#include "report/markdown.h"

namespace templora {
namespace {

constexpr std::int64_t kMost = 1'000'000;  // prompts, and tokens of one

struct ExposureArguments {
  std::string model, device = "auto", dtype = std::string(enum_name(Dtype::float32));
  std::vector<std::string> files;
  ExposureOptions options;
  bool json = false;
};

void exposure(const ExposureArguments& arguments) {
  ModelConfig model;
  model.path = find_model(arguments.model, ".");
  model.device = arguments.device;
  model.dtype = arguments.dtype == enum_name(Dtype::bfloat16) ? Dtype::bfloat16 : Dtype::float32;
  const ExposureOptions& asked = arguments.options;
  const Tokenizer tokenizer = open_run_tokenizer(model);
  std::vector<Book> books;  // before the weights: a wrong path and a short text are told at once
  for (const std::string& file : arguments.files) {
    books.push_back(read_book(file, tokenizer, {}));
    require_length(books.back(), asked);
  }
  Llama llama = open_model(model, set_up_machine(model, RunConfig()));
  if (2 * asked.tokens > llama->config().max_positions)
    throw Error(Exit::usage, fmt::format("--tokens: got {}, wanted at most {}, half of the model's positions",
                                         asked.tokens, llama->config().max_positions / 2));
  ModelCompleter completer(*llama, 1, 2 * asked.tokens, 2 * asked.tokens);
  install_stop_handlers();

  std::string table = fmt::format(
      "| book | prompts | all {} tokens came back | tokens that came back, mean | most |\n"
      "| --- | ---: | ---: | ---: | ---: |\n",
      asked.tokens);
  bool stopped = false;
  for (const Book& book : books) {
    const auto found = book_exposure(book, asked, completer, [] { return !stop_requested(); });
    if (!found) {
      stopped = true;
      break;
    }
    const std::int64_t most = *std::max_element(found->returned.begin(), found->returned.end());
    log_line(fmt::format("{}: {} of {} prompts came back whole", printable(book.name), found->whole(asked.tokens),
                         asked.prompts));
    if (arguments.json)
      print_out(dump_json(Json{{"book", book.name},
                               {"text_hash", book.text_hash},
                               {"tokens", asked.tokens},
                               {"seed", asked.seed},
                               {"places", found->places},
                               {"returned", found->returned},
                               {"whole", found->whole(asked.tokens)},
                               {"mean", found->mean()}},
                          book.name) +
                "\n");
    else
      table += fmt::format("| {} | {} | {} | {:.1f} | {} |\n", escaped(book.name), asked.prompts,
                           found->whole(asked.tokens), found->mean(), most);
  }
  if (!arguments.json) print_out(table);
  if (stopped) throw Error(Exit::interrupted, "stopped: of the book that was being asked nothing is kept");
}

}  // namespace

void add_exposure_command(CommandLine& line) {
  const auto arguments = std::make_shared<ExposureArguments>();
  Command command = line.command("exposure", "ask a model for the continuation of texts: does it know them by heart?");
  command
      .option("--model", arguments->model, "model folder, or org/name of one in the local Hugging Face cache")
      .required();
  command.option("FILE", arguments->files, "UTF-8 texts").required();
  command.option("--prompts", arguments->options.prompts, "places asked in each text").between(1, kMost);
  command.option("--tokens", arguments->options.tokens, "of a prompt, and of what should follow").between(1, kMost);
  command.option("--seed", arguments->options.seed, "draws the places").between(0);
  command.option("--device", arguments->device, "auto, cpu, cuda or cuda:N");
  std::vector<std::string> dtypes;
  for (const auto& [name, value] : EnumNames<Dtype>::values) dtypes.emplace_back(name);
  command.option("--dtype", arguments->dtype, "of the weights").one_of(dtypes);
  command.flag("--json", arguments->json, "one JSON object a text, with every place and how much came back");
  command.examples({"templora exposure --model models/smollm2-135m book.txt",
                    "templora exposure --model models/small-6m --prompts 8 --json build/data/kjv.txt"});
  command.action([arguments] { exposure(*arguments); });
}

}  // namespace templora
