#include "generate/kv_cache.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>

#include <cmath>
#include <map>

#include "../model/goldens.h"
#include "catch.h"
#include "core/error.h"
#include "generate/prompt_cache.h"
#include "generate/score.h"
#include "model/ops.h"
#include "models.h"

using namespace templora;
using small::part;
using small::Tokens;

namespace {

/// A text fed in pieces, all rows' hidden states.
at::Tensor in_pieces(LlamaImpl& model, KvCache& cache, const Tokens& tokens, const std::vector<std::int64_t>& cuts) {
  std::vector<at::Tensor> hidden;
  std::int64_t first = 0;
  for (const std::int64_t cut : cuts) {
    hidden.push_back(cache.append(model, {{0, part(tokens, first, cut)}}, Rows::all, 0));
    first = cut;
  }
  return at::cat(hidden);
}

}  // namespace

TEST_CASE("KvCache: a text read in pieces gives what the whole text gives", "[unit]") {
  const at::NoGradGuard no_grad;
  const Tokens tokens = small::text(60);
  for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-10}, {at::kFloat, 1e-5}, {at::kBFloat16, 0.1}}) {
    Llama model = small::model(dtype);
    const at::Tensor whole = small::plain_forward(*model, tokens);
    for (const std::vector<std::int64_t>& cuts :
         {std::vector<std::int64_t>{60}, {1, 2, 3, 60}, {20, 25, 57, 58, 59, 60}, {30, 60}}) {
      KvCache cache(*model, {.capacity = 60, .block_tokens = 13});
      INFO("dtype " << int(dtype) << ", " << cuts.size() << " pieces");
      CHECK(small::difference(in_pieces(*model, cache, tokens, cuts), whole) <= tolerance);
      CHECK(cache.length(0) == 60);
    }
  }
}

TEST_CASE("KvCache: every kind of rope and of projection agrees with the plain pass", "[parity]") {
  const at::NoGradGuard no_grad;
  const Json index = goldens::json("model/index.json");  // a loop over part of a temporary would outlive it
  for (const Json& variant : index.at("variants")) {
    const std::string name = variant.at("name");
    Llama model = load_llama(goldens::folder("model/" + name), at::kDouble, at::kCPU);
    const std::string file = "model/" + name + "/" + variant.at("cases")[0].at("file").get<std::string>();
    const at::Tensor ids = goldens::tensor(file, "input_ids");
    Tokens tokens(ids.const_data_ptr<std::int64_t>(), ids.const_data_ptr<std::int64_t>() + ids.numel());
    if (model->config().rope.scaling.type == RopeScaling::Type::dynamic)  // kept within the original window
      tokens.resize(std::size_t(model->config().rope.scaling.original_positions));
    KvCache cache(*model, {.capacity = std::int64_t(tokens.size())});
    const std::int64_t count = std::int64_t(tokens.size());
    INFO(name);
    CHECK(small::difference(in_pieces(*model, cache, tokens, {count / 2, count - 1, count}),
                            small::plain_forward(*model, tokens)) <= 1e-10);
  }
}

TEST_CASE("KvCache: sequences of unequal lengths in one batch are what each is alone", "[unit]") {
  const at::NoGradGuard no_grad;
  const std::vector<std::int64_t> lengths = {7, 30, 1, 19};
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
    Llama model = small::model(dtype);
    KvCache together(*model, {.sequences = 4, .capacity = 40});
    std::vector<Append> prompts, next;
    for (std::int64_t s = 0; s < 4; ++s) {
      prompts.push_back({s, small::text(lengths[std::size_t(s)], s)});
      next.push_back({s, {s + 3}});
    }
    const at::Tensor last = together.append(*model, prompts, Rows::last, 0);
    CHECK(last.size(0) == 4);
    const at::Tensor step = together.append(*model, next, Rows::last, 0);
    for (std::int64_t s = 0; s < 4; ++s) {
      KvCache alone(*model, {.capacity = 40});
      const double tolerance = dtype == at::kDouble ? 1e-10 : dtype == at::kFloat ? 1e-5 : 0.1;
      INFO("dtype " << int(dtype) << ", sequence " << s);
      CHECK(small::difference(alone.append(*model, {{0, prompts[std::size_t(s)].tokens}}, Rows::last, 0)[0], last[s]) <=
            tolerance);
      CHECK(small::difference(alone.append(*model, {{0, {s + 3}}}, Rows::last, 0)[0], step[s]) <= tolerance);
    }
  }
}

TEST_CASE("KvCache: a step's result does not depend on its neighbours by a single bit", "[unit]") {
  const at::NoGradGuard no_grad;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    Llama model = small::model(dtype);
    KvCache together(*model, {.sequences = 5, .capacity = 40}), alone(*model, {.sequences = 5, .capacity = 40});
    std::vector<Append> next;
    for (std::int64_t s = 0; s < 5; ++s) {
      const Tokens prompt = small::text(6 * s + 2, s);
      together.append(*model, {{s, prompt}}, Rows::none, 0);  // each prompt by itself in both
      alone.append(*model, {{s, prompt}}, Rows::none, 0);
      next.push_back({s, {s + 9}});
    }
    const at::Tensor step = together.append(*model, next, Rows::last, 0);
    for (std::int64_t s = 0; s < 5; ++s)
      CHECK(at::equal(alone.append(*model, {next[std::size_t(s)]}, Rows::last, 0)[0], step[s]));
  }
}

TEST_CASE("KvCache: it grows, forgets and copies without changing what is left", "[unit]") {
  const at::NoGradGuard no_grad;
  Llama model = small::model(at::kDouble);
  const Tokens tokens = small::text(50);
  const at::Tensor whole = small::plain_forward(*model, tokens);
  KvCache cache(*model, {.sequences = 2, .capacity = 4});
  cache.append(*model, {{0, part(tokens, 0, 40)}}, Rows::none, 1);
  CHECK(cache.capacity() >= 40);
  cache.append(*model, {{0, {1, 2, 3}}}, Rows::none, 2);
  CHECK(cache.versions(0)[39] == 1);
  CHECK(cache.versions(0)[40] == 2);
  cache.truncate(0, 30);
  cache.copy_prefix(0, 1, 25);
  CHECK(cache.length(1) == 25);
  CHECK(cache.versions(1) == Tokens(25, 1));
  const at::Tensor both = cache.append(*model, {{0, part(tokens, 30, 50)}, {1, part(tokens, 25, 50)}}, Rows::last, 3);
  CHECK(small::difference(both[0], whole[49]) <= 1e-10);
  CHECK(small::difference(both[1], whole[49]) <= 1e-10);
  CHECK(cache.versions(1)[24] == 1);
  CHECK(cache.versions(1)[25] == 3);
}

TEST_CASE("KvCache: a restored cache goes on bit for bit", "[unit]") {
  const at::NoGradGuard no_grad;
  Llama model = small::model(at::kFloat);
  const KvCacheOptions options{.sequences = 2, .capacity = 8, .movable = true};
  KvCache cache(*model, options), again(*model, options);
  cache.append(*model, {{0, small::text(20)}, {1, small::text(9, 1)}}, Rows::none, 5);
  std::map<std::string, at::Tensor> saved;
  for (const auto& [name, tensor] : cache.tensors()) saved[name] = tensor.clone();
  again.restore([&](const std::string& name) { return saved.at(name); });
  CHECK(again.versions(1) == cache.versions(1));
  const std::vector<Append> next = {{0, {3}}, {1, {4}}};
  CHECK(at::equal(cache.append(*model, next, Rows::all, 6), again.append(*model, next, Rows::all, 6)));
  KvCache other(*model, {.sequences = 3, .capacity = 8, .movable = true});
  CHECK_THROWS_AS(other.restore([&](const std::string& name) { return saved.at(name); }), Error);
  saved["cache.lengths"] = saved["cache.lengths"].to(at::kDouble);
  CHECK_THROWS_AS(again.restore([&](const std::string& name) { return saved.at(name); }), Error);
}

namespace {

// The pass that keep_last() stands for, written out: token i sees the first `sinks` tokens, the `last` before it
// and itself, all at positions counted within what it sees.
at::Tensor banded_forward(LlamaImpl& model, const Tokens& tokens, std::int64_t sinks, std::int64_t last) {
  const LlamaConfig& c = model.config();
  const std::int64_t count = std::int64_t(tokens.size());
  const RopeTable table = rope_table(c.rope, c.head_dim, sinks + last + 1, at::kCPU);
  const auto turned = [&](const at::Tensor& heads, std::int64_t first) {  // heads: [n, any, head_dim]
    const std::int64_t n = heads.size(0);
    return rotate(heads.unsqueeze(0), {table.cos.narrow(0, first, n), table.sin.narrow(0, first, n)}).squeeze(0);
  };
  at::Tensor x = model.embed(small::tensor(tokens).unsqueeze(0)).squeeze(0);  // [count, hidden]
  for (std::int64_t l = 0; l < c.layers; ++l) {
    DecoderLayerImpl& layer = model.layer(l);
    const auto norms = layer.norm_weights();  // before attention, before the MLP
    const at::Tensor normed = rms_norm(x, norms[0].second, c.rms_norm_eps);
    const at::Tensor all = layer.self_attn->qkv.forward(normed).view({count, c.heads + 2 * c.kv_heads, c.head_dim});
    std::vector<at::Tensor> rows;
    for (std::int64_t i = 0; i < count; ++i) {
      Tokens seen;
      for (std::int64_t j = 0; j <= i; ++j)
        if (j < sinks || j >= i - last) seen.push_back(j);
      const std::int64_t slots = std::int64_t(seen.size());
      const at::Tensor visible = all.index_select(0, small::tensor(seen));
      const at::Tensor q = turned(all.narrow(0, i, 1).narrow(1, 0, c.heads), slots - 1)[0];         // [heads, head_dim]
      const at::Tensor k = turned(visible.narrow(1, c.heads, c.kv_heads), 0);  // [slots, kv_heads, head_dim]
      const at::Tensor v = visible.narrow(1, c.heads + c.kv_heads, c.kv_heads);
      std::vector<at::Tensor> heads;
      for (std::int64_t h = 0; h < c.heads; ++h) {
        const std::int64_t kv = h / (c.heads / c.kv_heads);
        const at::Tensor weights = (at::matmul(k.select(1, kv), q[h]) / std::sqrt(double(c.head_dim))).softmax(0);
        heads.push_back(at::matmul(weights, v.select(1, kv)));
      }
      rows.push_back(at::cat(heads));
    }
    x = x + layer.self_attn->out.forward(at::stack(rows));
    x = x + layer.mlp->forward(rms_norm(x, norms[1].second, c.rms_norm_eps));
  }
  return x;  // before the final norm
}

}  // namespace

TEST_CASE("KvCache: last n with sinks equals a banded mask over keys rotated by slot", "[unit]") {
  const at::NoGradGuard no_grad;
  Llama model = small::model(at::kDouble);
  const Tokens tokens = small::text(40);
  for (const std::int64_t sinks : {0, 3}) {
    const std::int64_t last = 7;
    const at::Tensor before_norm = banded_forward(*model, tokens, sinks, last);
    const at::Tensor wanted =
        rms_norm(before_norm, model->named_parameters()["model.norm.weight"], model->config().rms_norm_eps);
    KvCache cache(*model, {.capacity = 16, .movable = true});
    for (std::int64_t i = 0; i < 40; ++i) {
      cache.keep_last(0, sinks, last);
      const at::Tensor hidden = cache.append(*model, {{0, {tokens[std::size_t(i)]}}}, Rows::last, i);
      INFO("sinks " << sinks << ", token " << i);
      CHECK(small::difference(hidden[0], wanted[i]) <= 1e-10);
    }
    cache.keep_last(0, sinks, last);
    CHECK(cache.versions(0).back() == 39);
    CHECK(cache.versions(0)[std::size_t(sinks)] == 33);
    if (sinks > 0) CHECK(cache.versions(0)[2] == 2);
  }
}

TEST_CASE("KvCache: dynamic rope is refused where kept keys would have to turn", "[unit]") {
  Llama model = load_llama(goldens::folder("model/dynamic"), at::kFloat, at::kCPU);
  const std::int64_t window = model->config().rope.scaling.original_positions;
  KvCache within(*model, {.capacity = window});
  CHECK_THROWS_AS(KvCache(*model, {.capacity = window + 1}), Error);
  within.append(*model, {{0, Tokens(std::size_t(window), 1)}}, Rows::none, 0);
  CHECK_THROWS_AS(within.append(*model, {{0, {1}}}, Rows::none, 0), Error);
}

TEST_CASE("score: NLLs through the cache are those of the plain pass", "[unit]") {
  const at::NoGradGuard no_grad;
  for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-10}, {at::kFloat, 1e-5}}) {
    Llama model = small::model(dtype);
    const Tokens tokens = small::text(50);
    const at::Tensor wanted = token_nll(*model, small::tensor(tokens).unsqueeze(0), 49).squeeze(0);
    PromptCache read(*model, {.sequences = 2, .capacity = 50, .block_tokens = 16});
    KvCache& cache = read.cache();
    read.read(*model, {part(tokens, 0, 20), part(tokens, 0, 11)}, 0);
    const auto nll = score(*model, cache, {{0, part(tokens, 19, 45)}, {1, part(tokens, 10, 50)}}, 0);
    CHECK(small::difference(nll[0], wanted.narrow(0, 19, 25)) <= tolerance);
    CHECK(small::difference(nll[1], wanted.narrow(0, 10, 39)) <= tolerance);
    const auto rest = score(*model, cache, {{0, part(tokens, 44, 50)}}, 0);
    CHECK(small::difference(rest[0], wanted.narrow(0, 44, 5)) <= tolerance);
    CHECK(nll[0].scalar_type() == (dtype == at::kDouble ? at::kDouble : at::kFloat));
  }
}
