#include "generate/decoder.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <limits>

#include "../model/goldens.h"
#include "catch.h"
#include "core/error.h"
#include "models.h"

using namespace templora;
using small::Tokens;

namespace {

std::vector<Decoded> decode_fresh(LlamaImpl& model, const std::vector<Tokens>& prompts, const DecodeOptions& options,
                                  std::int64_t capacity = 200, std::uint64_t seed = 3) {
  KvCache cache(model, {.sequences = std::int64_t(prompts.size()), .capacity = capacity, .block_tokens = 8});
  SamplingStreams streams(seed, std::int64_t(prompts.size()));
  return decode(model, cache, prompts, options, streams);
}

DecodeOptions greedy(std::int64_t max_new) {
  DecodeOptions options;
  options.max_new_tokens = max_new;
  return options;
}

}  // namespace

TEST_CASE("decode: greedy tokens equal transformers' generate, alone, batched and while the cache grows", "[parity]") {
  std::int64_t compared = 0;
  const Json index = goldens::json("decode/index.json");  // a loop over part of a temporary would outlive it
  for (const Json& item : index.at("cases")) {
    Llama model = load_llama(goldens::folder("model/" + item.at("model").get<std::string>()), at::kDouble, at::kCPU);
    DecodeOptions options = greedy(item.at("max_new_tokens").get<std::int64_t>());
    options.min_new_tokens = item.at("min_new_tokens").get<std::int64_t>();
    options.sampling.repetition_penalty = item.at("repetition_penalty").get<double>();
    options.stop_tokens = item.at("stop_tokens").get<Tokens>();
    const auto prompts = item.at("prompts").get<std::vector<Tokens>>(),
               wanted = item.at("tokens").get<std::vector<Tokens>>();
    const std::vector<Decoded> batched = decode_fresh(*model, prompts, options),
                               growing = decode_fresh(*model, prompts, options, 2);
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      INFO(item.at("model") << ", penalty " << options.sampling.repetition_penalty << ", prompt " << i);
      CHECK(batched[i].tokens == wanted[i]);
      CHECK(growing[i].tokens == wanted[i]);
      CHECK(decode_fresh(*model, {prompts[i]}, options)[0].tokens == wanted[i]);
      compared += std::int64_t(wanted[i].size());
    }
  }
  CHECK(compared > 500);
}

TEST_CASE("decode: it goes on from a kept cache as if it had never stopped", "[unit]") {
  Llama model = small::model(at::kFloat);
  const std::vector<Tokens> prompts = {small::text(9), small::text(4, 1)};
  const std::vector<Decoded> whole = decode_fresh(*model, prompts, greedy(24));
  KvCache cache(*model, {.sequences = 2, .capacity = 64});
  SamplingStreams streams(3, 2);
  std::vector<Tokens> texts = prompts;
  for (int chunk = 0; chunk < 4; ++chunk) {
    const auto piece = decode(*model, cache, texts, greedy(6), streams);
    for (std::size_t i = 0; i < 2; ++i) {
      texts[i].insert(texts[i].end(), piece[i].tokens.begin(), piece[i].tokens.end());
      CHECK(cache.length(std::int64_t(i)) == std::int64_t(texts[i].size()) - 1);
    }
  }
  for (std::size_t i = 0; i < 2; ++i)
    CHECK(small::part(texts[i], std::int64_t(prompts[i].size()), std::int64_t(texts[i].size())) == whole[i].tokens);
}

TEST_CASE("decode: stop tokens, stop tests and lengths end one sequence and not its neighbours", "[unit]") {
  Llama model = small::model(at::kFloat);
  const std::vector<Tokens> prompts = {small::text(9), small::text(4, 1), small::text(6, 2)};
  DecodeOptions free = greedy(20);
  free.sampling.repetition_penalty = 1.3;  // else small models repeat themselves
  const std::vector<Decoded> whole = decode_fresh(*model, prompts, free);
  DecodeOptions options = free;
  options.stop_tokens = {whole[0].tokens[7]};
  std::vector<Tokens> streamed(3);
  options.on_token = [&](std::int64_t sequence, std::int64_t token) {
    streamed[std::size_t(sequence)].push_back(token);
  };
  options.stop = [&](std::int64_t sequence, const Tokens& tokens) { return sequence == 1 && tokens.size() == 5; };
  const std::vector<Decoded> stopped = decode_fresh(*model, prompts, options);
  const auto first = std::find(whole[0].tokens.begin(), whole[0].tokens.end(), whole[0].tokens[7]);
  CHECK(stopped[0].tokens == Tokens(whole[0].tokens.begin(), first + 1));
  CHECK(stopped[0].finish == Finish::stop_token);
  CHECK(stopped[1].tokens == small::part(whole[1].tokens, 0, 5));
  CHECK(stopped[1].finish == Finish::stop_test);
  for (std::size_t i = 0; i < 3; ++i) CHECK(streamed[i] == stopped[i].tokens);

  options.min_new_tokens = 20;  // as many as at most: no end of text, and the stop test is not asked before
  for (const Decoded& exact : decode_fresh(*model, prompts, options)) {
    CHECK(exact.tokens.size() == 20);
    CHECK(std::count(exact.tokens.begin(), exact.tokens.end(), options.stop_tokens[0]) == 0);
    CHECK(exact.finish == Finish::length);
  }
}

TEST_CASE("decode: an interruption keeps what there is", "[unit]") {
  Llama model = small::model(at::kFloat);
  DecodeOptions options = greedy(20);
  int asked = 0;
  options.interrupted = [&] { return ++asked > 3; };
  const Decoded result = decode_fresh(*model, {small::text(5)}, options)[0];
  CHECK(result.tokens.size() == 3);
  CHECK(result.finish == Finish::interrupted);
}

TEST_CASE("decode: a sampled text depends on seed and stream, not on its neighbours", "[unit]") {
  Llama model = small::model(at::kFloat);
  DecodeOptions options = greedy(30);
  options.sampling.temperature = 1.5;
  options.sampling.top_k = 40;
  options.sampling.min_p = 0.001;
  const std::vector<Tokens> prompts = {small::text(5), small::text(5), small::text(8, 1)};
  const auto first = decode_fresh(*model, prompts, options), again = decode_fresh(*model, prompts, options);
  const auto fewer = decode_fresh(*model, {prompts[0], prompts[1]}, options),
             other = decode_fresh(*model, prompts, options, 200, 4);
  for (std::size_t i = 0; i < 3; ++i) CHECK(first[i].tokens == again[i].tokens);
  CHECK(first[1].tokens == fewer[1].tokens);
  CHECK(first[0].tokens != first[1].tokens);
  CHECK(first[0].tokens != other[0].tokens);
}

TEST_CASE("decode: a model whose logits are NaN ends a sampled text with an error of numerics", "[unit]") {
  Llama model = small::model(at::kFloat);
  {
    const at::NoGradGuard no_grad;
    model->head_weight().fill_(std::numeric_limits<float>::quiet_NaN());
  }
  DecodeOptions options = greedy(5);
  options.sampling.temperature = 1;
  try {
    decode_fresh(*model, {small::text(5)}, options);
    FAIL("decoded NaN");
  } catch (const Error& error) {
    CHECK(error.exit_code() == Exit::numerics);
  }
}

TEST_CASE("SamplingStreams: a sequence draws from the stream that it was given", "[unit]") {
  SamplingStreams all(5, 4), some(5, std::vector<std::int64_t>{3, 1});
  const double third = all.next(3), first = all.next(1);
  CHECK(some.next(0) == third);
  CHECK(some.next(1) == first);
  CHECK(some.next(0) == all.next(3));
}

TEST_CASE("SamplingStreams: numbers are Philox's, and a set count goes on", "[unit]") {
  SamplingStreams streams(0, 2);
  // First words of Philox 4x32-10 for an all-zero counter and key: 0x6627e8d5 0xe169c58d (Random123's known answers).
  CHECK(streams.next(0) == double((0x6627e8d5ull << 16) | 0xe169ull) * 0x1p-48);
  // The same of all ones: 0x408f276d 0x41c83b0e.
  SamplingStreams ones(~std::uint64_t{0}, std::vector<std::int64_t>{-1});
  ones.set_drawn({-1});
  CHECK(ones.next(0) == double((0x408f276dull << 16) | 0x41c8ull) * 0x1p-48);
  const double second = streams.next(0);
  SamplingStreams later(0, 2);
  later.set_drawn({1, 0});
  CHECK(later.next(0) == second);
  CHECK(later.drawn() == std::vector<std::int64_t>{2, 0});
}

TEST_CASE("decode: an empty prompt is refused", "[unit]") {
  Llama model = small::model(at::kFloat);
  CHECK_THROWS_AS(decode_fresh(*model, {Tokens{}}, greedy(1)), Error);
}
