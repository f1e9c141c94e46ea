// The cost formulas against what the dispatcher is asked to compute.

#include <cmath>

#include "catch.h"
#include "cost/run_cost.h"
#include "experiment/generation.h"
#include "experiment/sentence_batch.h"
#include "experiment/temp_lora.h"
#include "made_config.h"
#include "model/load.h"
#include "operation_counter.h"
#include "small_loop.h"

using namespace templora;
using namespace templora_test;

namespace {

struct Shape {
  const char* what;
  LlamaConfig config;
};

LlamaConfig llama(std::int64_t layers, std::int64_t heads, std::int64_t kv_heads, std::int64_t head_dim, bool tied,
                  bool bias) {
  LlamaConfig c;
  c.vocab_size = 96;
  c.hidden_size = 32;
  c.ffn_size = 80;
  c.layers = layers;
  c.heads = heads;
  c.kv_heads = kv_heads;
  c.head_dim = head_dim;
  c.max_positions = 256;
  c.tied_embeddings = tied;
  c.layer_specs.assign(std::size_t(layers), LayerSpec{.qkv_bias = bias, .out_bias = bias, .mlp_bias = bias});
  return c;
}

// Windows in all layers but one, norms on heads, and after attention and MLP.
LlamaConfig windowed() {
  LlamaConfig c = llama(3, 4, 2, 8, false, false);
  LayerSpec full{.qk_norm = LayerSpec::QkNorm::projection, .norm_after = true}, sliding = full;
  sliding.window = 17;
  sliding.rope = LayerSpec::Rope::sliding;
  c.layer_specs = {sliding, full, sliding};
  return c;
}

const Shape kShapes[] = {{"as many key as query heads", llama(3, 4, 4, 8, true, false)},
                         {"shared key heads, biases", llama(2, 4, 2, 8, false, true)},
                         {"heads that are wider than the hidden state", llama(4, 2, 1, 24, false, false)},
                         {"windows", windowed()}};

Llama random_model(const LlamaConfig& config, at::ScalarType type = at::kFloat) {
  Llama model(config, at::TensorOptions(type));
  init_random_weights(*model, 5, 0.05);
  return model;
}

const char* const kGenerationText =
    R"({"experiment": "generation", "model": {"path": "m"}, "generate": {"prompt": "p"}})";

Config counted_config(const std::vector<Override>& more, const std::string& text = kMinimal) {
  return made_config({{"window.chunk_tokens", "20"},
                      {"train.prefix_tokens", "30"},
                      {"lora.rank", "3"},
                      {"train.learning_rate", "0.001"}},
                     more, text);
}

Book counted_book(std::int64_t tokens) {
  Book book;
  book.name = "made";
  for (std::int64_t t = 0; t < tokens; ++t) book.tokens.push_back((t * 13 + t * t % 17) % 96);
  return spelled(std::move(book));
}

bool near(double a, double b) { return std::abs(a - b) <= 0.005 * std::max(std::abs(a), std::abs(b)); }

void check_work(const OperationCounter::Count& counted, const Work& predicted) {
  CHECK(counted.gemm == predicted.gemm_flops);
  CHECK(near(counted.attention, predicted.attention_flops));
}

/// Counts a whole document.
OperationCounter::Count counted(LlamaImpl& model, const Config& config, const Book& book) {
  OperationCounter counter;
  TempLora document(model, config, book, 0);
  while (document.next_chunk() < document.chunk_count()) document.step();
  return counter.count();
}

Work predicted(const LlamaImpl& model, const Config& config, const Book& book) {
  return predict_cost(config, shape_of(model.config()), {{std::int64_t(book.tokens.size())}, 1, {}, {}}).total();
}

}  // namespace

TEST_CASE("Cost: predicted products are those that the dispatcher sees, phase by phase, on four shapes", "[unit]") {
  const Book book = counted_book(110);
  for (const Shape& shape : kShapes) {
    INFO(shape.what);
    Llama model = random_model(shape.config);
    const Config config = counted_config({{"lora.dropout", "0.1"}});
    const ModelShape sizes = shape_of(shape.config);
    const CostPrediction cost = predict_cost(config, sizes, {{110}, 1, {}, {}});

    SECTION(std::string("score_base, ") + shape.what) {
      check_work(counted(*model, counted_config({{"score.adapter", "false"}}), book), cost.phases.at("score_base"));
    }
    SECTION(std::string("score, ") + shape.what) {
      check_work(counted(*model, counted_config({{"score.base", "false"}, {"train.enabled", "false"}}), book),
                 cost.phases.at("score"));
    }
    SECTION(std::string("train_forward, train_backward, optimizer, ") + shape.what) {
      LoraAdapter adapter(*model, config.lora, 1);
      ChunkTrainer trainer(*model, adapter.parameters(), config.train);
      adapter.set_training(true);
      std::map<std::string, OperationCounter::Count> parts;
      OperationCounter counter;
      trainer.update(at::tensor(at::ArrayRef<std::int64_t>(book.tokens.data(), 50)), 20, {0.01}, {},
                     [&](const char* part) { parts[part] = counter.take(); });
      const ModelWork work(sizes, config.lora, config.model.dtype);
      check_work(parts.at("train_forward"), work.learning_forward(50, 20));
      check_work(parts.at("train_backward"), work.backward(50, 20));
      check_work(parts.at("optimizer"), work.optimizer(config.train));
    }
    SECTION(std::string("prefill, recompute, decode, ") + shape.what) {
      const Config writes = counted_config({{"cache.policy", "refill"},
                                            {"cache.refill_tokens", "12"},
                                            {"cache.window_tokens", "60"},
                                            {"cache.prefill_block_tokens", "16"},
                                            {"score.base", "false"}},
                                           kGenerationText);
      const ModelWork work(sizes, writes.lora, writes.model.dtype);
      LoraAdapter adapter(*model, writes.lora, 1);
      ContextCache cache(*model, writes);
      CachePlan plan(writes);
      OperationCounter counter;
      for (const std::int64_t end : {40, 60, 80, 100}) {  // a prefill, none, and rebuilds behind what was decoded
        cache.open(book.tokens, end, 20, 0);
        Work fed;
        for (const CacheStep& step : plan.open(end, 20))
          if (step.kind == CacheStep::Kind::feed) fed += work.cached(step.tokens, step.held, AskedRows::none, true, 16);
        check_work(counter.take(), fed);
        SamplingStreams streams(1, 1);
        DecodeOptions options;
        options.max_new_tokens = 20;
        decode(*model, cache.cache(), {cache.visible()}, options, streams);
        check_work(counter.take(), work.decoded(20, plan.visible() - 1, true));
        cache.written(book.tokens, end + 20);
        plan.written(end + 20);
      }
    }
  }
}

TEST_CASE("Cost: whole documents under every kind of config compute what was predicted", "[unit]") {
  const std::vector<std::vector<Override>> variants{
      {},
      {{"lora.dropout", "0"}},                                   // the scored pass is the first step's
      {{"lora.dropout", "0"}, {"window.context_tokens", "10"}},  // only where both are clipped
      {{"train.epochs", "3"}, {"train.lag_chunks", "1"}},
      {{"lora.targets", R"(["q_proj"])"}},
      {{"lora.targets", R"(["down_proj"])"}},
      {{"lora.targets", R"(["o_proj", "up_proj"])"}, {"lora.layers", "[1]"}},
      {{"lora.layers", "[0]"}},
      {{"window.first_chunk_tokens", "1"}, {"train.stop_after_tokens", "70"}},
      {{"window.first_chunk_tokens", "33"}, {"lora.reset_every_tokens", "40"}},
      {{"train.label_prefix", "true"}, {"lora.dropout", "0"}},
      {{"train.update_every_chunks", "2"}, {"lora.reset_every_tokens", "50"}},
      {{"train.optimizer", "rms"}, {"train.lag_chunks", "1"}},
      {{"train.decay_to_start", "0.1"}, {"train.rate_decay", "linear"}},
      {{"window.context_tokens", "0"}, {"train.prefix_tokens", "0"}},
      {{"cache.policy", "refill"},
       {"cache.refill_tokens", "10"},
       {"cache.window_tokens", "60"},
       {"cache.measure_staleness", "true"},
       {"cache.staleness_every_chunks", "2"}},
      {{"cache.policy", "every_k"}, {"cache.rebuild_every_chunks", "2"}, {"cache.prefill_block_tokens", "7"}},
      {{"cache.policy", "last_n"},
       {"cache.sink_tokens", "4"},
       {"cache.measure_staleness", "true"},
       {"cache.staleness_every_chunks", "3"}},
      {{"lora.rows", "chunk"}},
      {{"lora.rows", "chunk"}, {"lora.dropout", "0"}},  // the scored pass is the first step's
      {{"lora.rows", "chunk"}, {"lora.dropout", "0"}, {"train.replay_share", "0.4"}, {"train.epochs", "3"}},
      {{"lora.rows", "chunk"}, {"window.context_tokens", "0"}, {"train.prefix_tokens", "0"}},
      {{"lora.rows", "chunk"},
       {"lora.dropout", "0"},
       {"cache.policy", "refill"},
       {"cache.refill_tokens", "10"},
       {"cache.window_tokens", "60"}},
      {{"lora.rows", "chunk"}, {"cache.policy", "last_n"}, {"cache.sink_tokens", "4"}},
      {{"train.prefix_gradient", "false"}},
      {{"train.prefix_gradient", "false"}, {"lora.dropout", "0"}, {"cache.prefill_block_tokens", "7"}},
      {{"train.replay_share", "0.25"}},
      {{"lora.update", "full"}, {"train.optimizer", "sgd"}},
      {{"lora.update", "full"}, {"lora.rows", "chunk"}, {"lora.targets", "[\"down_proj\"]"}, {"lora.layers", "[1]"}},
      {{"neural_cache.entries", "50"}},
      {{"neural_cache.entries", "500"}, {"cache.policy", "refill"}, {"cache.refill_tokens", "10"}},
      {{"bm25.passage_tokens", "10"}},
      {{"model.dtype", "bfloat16"}, {"cache.policy", "last_n"}}};
  for (const int shape : {0, 1, 3}) {
    for (const auto& variant : variants) {
      const Config config = counted_config(variant);
      Llama model =
          random_model(kShapes[shape].config, config.model.dtype == Dtype::bfloat16 ? at::kBFloat16 : at::kFloat);
      const Book book = counted_book(127);
      INFO((variant.empty() ? "defaults" : variant[0].key + "=" + variant[0].value) << " " << kShapes[shape].what);
      check_work(counted(*model, config, book), predicted(*model, config, book));
    }
  }
}

TEST_CASE("Cost: one adapter that learns every second chunk of several documents computes what was predicted",
          "[unit]") {
  const Config config = counted_config({{"lora.reset_every_tokens", "-1"}, {"train.update_every_chunks", "2"}});
  Llama model = random_model(kShapes[1].config);
  const std::vector<std::int64_t> lengths{50, 67, 90};  // three, four and five chunks
  OperationCounter counter;
  std::vector<std::shared_ptr<TemporaryAdapter>> adapters;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const Book book = counted_book(lengths[i]);
    TempLora document(*model, config, book, std::int64_t(i), {}, make_optimizer, read_before(config, lengths, i));
    if (i > 0) document.go_on_with(adapters);
    while (document.next_chunk() < document.chunk_count()) document.step();
    adapters = document.adapters();
  }
  check_work(counter.take(), predict_cost(config, shape_of(model->config()), {lengths, 1, {}, {}}).total());
}

TEST_CASE("Cost: projections in one piece are counted as such", "[unit]") {
  LlamaConfig fused = llama(2, 4, 2, 8, false, false);
  fused.layer_specs.assign(2, LayerSpec{.fused_names = true, .window = 25});
  Llama model = random_model(fused);
  for (const char* targets : {R"(["qkv_proj", "down_proj"])", R"(["gate_up_proj"])"}) {
    const Config config = counted_config({{"lora.targets", targets}});
    const Book book = counted_book(90);
    check_work(counted(*model, config, book), predicted(*model, config, book));
  }
}

TEST_CASE("Cost: a generation computes what was predicted", "[unit]") {
  for (const char* rows : {"all", "chunk"})
    for (const char* policy : {"rebuild", "refill"}) {
      INFO(rows << " " << policy);
      const Config config = counted_config({{"cache.policy", policy},
                                            {"cache.refill_tokens", "10"},
                                            {"cache.window_tokens", "60"},
                                            {"generate.tokens", "90"},
                                            {"generate.learn_prompt", "true"},
                                            {"lora.rows", rows}},
                                           kGenerationText);
      Llama model = random_model(kShapes[1].config);
      const std::vector<std::int64_t> prompt = counted_book(31).tokens;
      OperationCounter counter;
      Generation text(*model, config, prompt, -1);
      text.learn_prompt();
      while (!text.finished()) text.step();
      check_work(counter.take(), predict_cost(config, shape_of(model->config()), {{90}, 31, {}, {}}).total());
    }
}

TEST_CASE("Cost: a chunk of sentences computes what its records say", "[unit]") {
  const Config config =
      counted_config({{"generate.max_new_tokens", "6"}},
                     R"({"experiment": "translation", "model": {"path": "m"}, "data": {"novels": ["n"]}})");
  for (const Shape& shape : kShapes) {
    INFO(shape.what);
    Llama model = random_model(shape.config);
    LoraAdapter adapter(*model, config.lora, 1);
    const std::vector<std::int64_t> ids = counted_book(90).tokens;
    std::vector<SentenceTask> tasks;
    for (const std::int64_t length : {40, 47, 41}) {  // alike up to the 30th token
      SentenceTask& task = tasks.emplace_back();
      task.prompt.assign(ids.begin(), ids.begin() + length);
      task.prompt[30] = length;
      task.reference.assign(ids.begin() + length, ids.begin() + length + 8);
    }
    DecodeOptions options;
    options.max_new_tokens = options.min_new_tokens = 6;
    PhaseTimer timer(at::kCPU);
    OperationCounter counter;
    PromptCache read = sentence_cache(*model, 3);
    std::vector<PairRecord> pairs;
    const auto translate = [&](const std::vector<SentenceTask>& batch) {
      const auto answers =
          answer(*model, read, batch, options, SamplingStreams(1, std::int64_t(batch.size())), timer, "lora");
      for (std::size_t i = 0; i < batch.size(); ++i) {
        PairRecord& pair = pairs.emplace_back();
        pair.lora_prompt_tokens = std::int64_t(batch[i].prompt.size());
        pair.lora_read_tokens = (*answers)[i].read_tokens;
        pair.reference_tokens = 8;
        pair.lora_ids = (*answers)[i].ids;
      }
    };
    translate(tasks);
    translate({tasks[1]});  // begins as the last one of the batch before
    const OperationCounter::Count counted = counter.take();
    CHECK(pairs[0].lora_read_tokens == 40 - 1 - 30);
    CHECK(pairs[1].lora_read_tokens == 47 - 1 - 30);
    CHECK(pairs[2].lora_read_tokens == 41 - 1);
    CHECK(pairs[3].lora_read_tokens == 47 - 1 - 30);
    Work work;
    for (const auto& [phase, part] : run_cost(pairs, {}, {}, config, shape_of(shape.config), {}).phases)
      work += part.work;
    check_work(counted, work);
  }
}
