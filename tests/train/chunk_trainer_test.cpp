#include "train/chunk_trainer.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/randint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "catch.h"
#include "model/load.h"

using namespace templora;

namespace {

/// A tiny model whose norms are trained, which no adapter is needed for.
struct Setting {
  Setting() : model(tiny(), at::TensorOptions(at::kFloat)), parameters({{16}, {16}}, at::kCPU) {
    init_random_weights(*model, 3, 0.3);
    std::size_t taken = 0;
    for (auto& [name, tensor] : model->storage_tensors()) {
      if (tensor.dim() != 1 || taken == parameters.leaves.size()) continue;
      at::Tensor leaf = parameters.leaves[taken++];
      {
        const at::NoGradGuard no_grad;
        leaf.copy_(tensor);
      }
      tensor.set_data(leaf);
      tensor.set_requires_grad(true);
      tensor.mutable_grad() = leaf.mutable_grad();
    }
    config.learning_rate = 0.05;
    tokens = at::randint(37, {13}, at::TensorOptions(at::kLong));
  }
  static LlamaConfig tiny() {
    LlamaConfig c;
    c.vocab_size = 37;
    c.hidden_size = 16;
    c.ffn_size = 24;
    c.layers = 2;
    c.heads = c.kv_heads = 2;
    c.head_dim = 8;
    c.max_positions = 16;
    return c;
  }
  Llama model;
  FlatParameters parameters;
  TrainConfig config;
  at::Tensor tokens;
};

}  // namespace

TEST_CASE("ChunkTrainer: a forward pass by the current weights serves as the first step's", "[unit]") {
  Setting one, other;
  other.tokens = one.tokens;
  ChunkTrainer a(*one.model, one.parameters, one.config), b(*other.model, other.parameters, other.config);
  const at::Tensor start = one.parameters.value.clone();
  const ChunkUpdate alone = a.update(one.tokens, 8, {0.05, 0.02});
  const ChunkUpdate shared = b.update(other.tokens, 8, {0.05, 0.02}, b.forward(other.tokens, 8));
  CHECK(a.steps() == 2);
  REQUIRE(alone.loss.size() == 2);
  CHECK_FALSE(at::equal(one.parameters.value, start));
  CHECK(at::equal(one.parameters.value, other.parameters.value));
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(at::equal(alone.loss[i], shared.loss[i]));
    CHECK(at::equal(alone.grad_norm[i], shared.grad_norm[i]));
  }
}

TEST_CASE("ChunkTrainer: a forward pass by older weights is refused", "[unit]") {
  Setting setting;
  ChunkTrainer trainer(*setting.model, setting.parameters, setting.config);
  ScoredChunk stale = trainer.forward(setting.tokens, 8);
  trainer.update(setting.tokens, 8, {0.05});
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGABRT, SIG_DFL);
    if (std::freopen("/dev/null", "w", stderr) == nullptr) ::_exit(1);
    trainer.update(setting.tokens, 8, {0.05}, std::move(stale));
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
}
