#include "generate/static_decode_step.h"

#include <ATen/core/grad_mode.h>

#include <limits>
#include <vector>

#include "catch.h"
#include "core/error.h"
#include "models.h"

using namespace templora;

namespace {

using small::Tokens;

struct Run {
  std::vector<Decoded> texts;
  std::vector<std::int64_t> lengths;
};

Run run(LlamaImpl& model, const std::vector<Tokens>& prompts, DecodeOptions options, bool fixed) {
  options.fixed_steps = fixed;
  KvCache cache(model, {.sequences = std::int64_t(prompts.size()), .capacity = 4});
  SamplingStreams streams(5, std::int64_t(prompts.size()));
  Run run{decode(model, cache, prompts, options, streams), {}};
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    run.lengths.push_back(cache.length(std::int64_t(i)));
    CHECK(std::int64_t(cache.versions(std::int64_t(i)).size()) == run.lengths.back());
  }
  return run;
}

void check_equal(const Run& fixed, const Run& ragged) {
  for (std::size_t i = 0; i < ragged.texts.size(); ++i) {
    INFO("sequence " << i);
    CHECK(fixed.texts[i].tokens == ragged.texts[i].tokens);
    CHECK(fixed.texts[i].finish == ragged.texts[i].finish);
  }
  CHECK(fixed.lengths == ragged.lengths);
}

}  // namespace

TEST_CASE(
    "StaticDecodeStep: greedy tokens are those of steps that feed the active sequences, with penalty, stops and "
    "minimum",
    "[unit]") {
  for (const std::int64_t kv_heads : {1, 2, 4}) {
    INFO(kv_heads << " key and value heads");
    LlamaConfig config = small::config();
    config.kv_heads = kv_heads;
    Llama model = small::model(at::kDouble, config);
    const std::vector<Tokens> prompts = {small::text(9), small::text(4, 1), small::text(6, 2)};
    DecodeOptions options;
    options.max_new_tokens = 24;
    options.sampling.repetition_penalty = 1.3;
    const Run free = run(*model, prompts, options, false);
    check_equal(run(*model, prompts, options, true), free);
    options.stop_tokens = {free.texts[0].tokens[5], free.texts[2].tokens[0]};
    options.stop = [](std::int64_t sequence, const Tokens& tokens) { return sequence == 1 && tokens.size() == 7; };
    const Run stopped = run(*model, prompts, options, false);
    CHECK(stopped.texts[2].tokens.size() == 1);  // ended before the first fixed step
    check_equal(run(*model, prompts, options, true), stopped);
    options.min_new_tokens = 9;
    const Run later = run(*model, prompts, options, false);
    CHECK(later.texts[0].tokens.size() >= 9);
    check_equal(run(*model, prompts, options, true), later);
  }
}

TEST_CASE("StaticDecodeStep: sampled tokens are drawn from the same streams", "[unit]") {
  Llama model = small::model(at::kDouble);
  const std::vector<Tokens> prompts = {small::text(5), small::text(8, 3)};
  DecodeOptions options;
  options.max_new_tokens = 20;
  options.sampling = {.temperature = 0.8, .top_k = 30, .top_p = 0.9, .min_p = 0.01, .repetition_penalty = 1.1};
  check_equal(run(*model, prompts, options, true), run(*model, prompts, options, false));
}

TEST_CASE("StaticDecodeStep: NaN is an error of numerics, with a penalty too", "[unit]") {
  for (const double penalty : {1.0, 1.3}) {
    Llama model = small::model(at::kDouble);
    KvCache cache(*model, {.sequences = 1, .capacity = 8});
    cache.append(*model, {{0, {3}}}, Rows::none, 0);
    {
      const at::NoGradGuard no_grad;
      model->head_weight().fill_(std::numeric_limits<double>::quiet_NaN());
    }
    DecodeOptions options;
    options.sampling.temperature = 1;
    options.sampling.repetition_penalty = penalty;
    StaticDecodeStep step(*model, cache, options, {StaticDecodeStep::Start{5, {3, 5}}});
    try {
      step.next(true, {0.5});
      FAIL("chose a token among NaN");
    } catch (const Error& error) {
      CHECK(error.exit_code() == Exit::numerics);
    }
  }
}

TEST_CASE("StaticDecodeStep: a text can go on from the cache of fixed steps", "[unit]") {
  Llama model = small::model(at::kDouble);
  const Tokens prompt = small::text(7);
  DecodeOptions options;
  options.fixed_steps = true;
  KvCache cache(*model, {.sequences = 1, .capacity = 3});
  SamplingStreams streams(1, 1);
  Tokens text = prompt;
  options.max_new_tokens = 10;
  for (int piece = 0; piece < 2; ++piece) {
    const std::vector<Decoded> more = decode(*model, cache, {text}, options, streams);
    text.insert(text.end(), more[0].tokens.begin(), more[0].tokens.end());
  }
  options.max_new_tokens = 20;
  options.fixed_steps = false;
  KvCache fresh(*model, {.sequences = 1, .capacity = 3});
  const Tokens whole = decode(*model, fresh, {prompt}, options, streams)[0].tokens;
  CHECK(Tokens(text.begin() + 7, text.end()) == whole);
}
