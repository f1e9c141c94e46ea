// `templora tokenize`: the tokens of texts, as a run counts them.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "commands.h"
#include "config/model_folder.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/utf8.h"
#include "report/markdown.h"
#include "text/books.h"
#include "text/tokenizer.h"

namespace templora {
namespace {

struct TokenizeArguments {
  std::string model;
  std::vector<std::string> files;
  bool ids = false, json = false, book = false;
};

/// A text's tokens and what they stand for.
struct TokenizedText {
  std::vector<std::int64_t> ids;
  std::int64_t words = 0, bytes = 0;
};

TokenizedText tokenized(const std::string& file, const Tokenizer& tokenizer, bool as_book) {
  if (as_book) {
    Book book = read_book(file, tokenizer, {});
    return {std::move(book.tokens), book.words, book.text_bytes};
  }
  const std::string text = read_file(file);
  if (const std::size_t wrong = utf8_error(text); wrong != kValidUtf8)
    throw Error(Exit::bad_input, fmt::format("{}: byte {}: not UTF-8, wanted UTF-8 text; convert it", file, wrong));
  return {tokenizer.encode(text, true), count_words(text), std::int64_t(text.size())};
}

void tokenize(const TokenizeArguments& arguments) {
  const Tokenizer tokenizer(find_model(arguments.model, "."));
  std::string table = "| file | tokens | words | bytes |\n| --- | ---: | ---: | ---: |\n";
  for (const std::string& file : arguments.files) {
    const TokenizedText text = tokenized(file, tokenizer, arguments.book);
    const auto tokens = std::int64_t(text.ids.size());
    if (arguments.json) {
      Json line{{"file", file}, {"tokens", tokens}, {"words", text.words}, {"bytes", text.bytes}};
      if (arguments.ids) line["ids"] = text.ids;
      print_out(dump_json(line, file) + "\n");
    } else if (arguments.ids) {
      print_out(fmt::format("[{}]\n", fmt::join(text.ids, ",")));
    } else {
      table += fmt::format("| {} | {} | {} | {} |\n", escaped(file), grouped(tokens), grouped(text.words),
                           grouped(text.bytes));
    }
  }
  if (!arguments.json && !arguments.ids) print_out(table);
}

}  // namespace

void add_tokenize_command(CommandLine& line) {
  auto arguments = std::make_shared<TokenizeArguments>();
  Command command = line.command("tokenize", "count the tokens of texts, or show their ids");
  command
      .option("--model", arguments->model,
              "model folder, tokenizer.model or tokenizer.json, or org/name of one in the local Hugging Face cache")
      .required();
  command.option("FILE", arguments->files, "UTF-8 texts").required();
  command.flag("--ids", arguments->ids, "the ids, one JSON array a line");
  command.flag("--json", arguments->json, "one JSON object a line: file, tokens, words, bytes; with --ids, ids");
  command.flag("--book", arguments->book,
               "read each file as a run reads a book: line ends made LF, outer white space stripped");
  command.examples({"templora tokenize --model models/small-6m books/*.txt",
                    "templora tokenize --model models/small-6m --ids moby-dick.txt"});
  command.action([arguments] { tokenize(*arguments); });
}

}  // namespace templora
