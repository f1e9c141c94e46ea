// Prints the NLL of each token of a text, by the base model and by Temp-LoRA, which learns the text as it streams by.
// A line is: the token's place, its text as a JSON string, both NLLs in nats.

#include <cstdio>

#include "core/error.h"
#include "experiment/machine.h"
#include "experiment/temp_lora.h"
#include "text/text_stream.h"

using namespace templora;

namespace {

void print_nlls(const Config& config) {
  const Machine machine = set_up_machine(config.model, config.run);
  const Tokenizer tokenizer = open_tokenizer(config.model);
  Llama model = open_model(config.model, machine);
  check_windows(config, model->config());
  std::printf("token\ttext\tbase\tTemp-LoRA\n");
  std::int64_t index = 0;
  for (const fs::path& path : expand_globs(config.data.books, ".")) {
    const Book book = read_book(path, tokenizer, {config.data.strip, config.data.max_tokens});
    TempLora document(*model, config, book, index++);
    TextStream text(tokenizer, {});
    while (document.next_chunk() < document.chunk_count()) {
      const ChunkResult chunk = document.step();  // scores the chunk, then learns it
      const std::int64_t end = chunk.record.first_token + chunk.record.tokens;
      const std::int64_t first_scored = end - chunk.record.scored_tokens;
      for (std::int64_t token = chunk.record.first_token; token < end; ++token) {
        const std::string shown = shown_json(text.add(book.tokens[std::size_t(token)]));
        if (token < first_scored) continue;  // nothing stands before a text's first token
        const auto place = std::size_t(token - first_scored);
        std::printf("%lld\t%s\t%.6f\t%.6f\n", static_cast<long long>(token), shown.c_str(),
                    double(chunk.base_nll.at(place)), double(chunk.lora_nll.at(place)));
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) throw Error(Exit::usage, "usage: token_nll CONFIG [KEY=VALUE]…, such as train.epochs=1");
  std::vector<Override> overrides{{"experiment", "perplexity"}, {"score.base", "true"}, {"score.adapter", "true"}};
  for (const std::string& word : std::vector<std::string>(argv + 2, argv + argc))
    overrides.push_back({word.substr(0, word.find('=')), word.substr(word.find('=') + 1)});
  print_nlls(load_config(argv[1], overrides).config);
} catch (const Error& error) {
  std::fprintf(stderr, "token_nll: %s\n", error.what());
  return int(error.exit_code());
}
