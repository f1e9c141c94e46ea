#include "train/pretrainer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <ATen/Parallel.h>

#include <cmath>

#include "catch.h"
#include "train/linear_cross_entropy.h"

using namespace templora;

namespace {

LlamaConfig tiny(bool tied) {
  LlamaConfig c;
  c.vocab_size = 37;
  c.hidden_size = 16;
  c.ffn_size = 24;
  c.layers = 2;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 4;
  c.max_positions = 16;
  c.tied_embeddings = tied;
  return c;
}


at::Tensor batch(std::int64_t sequences) {
  at::manual_seed(3);
  return at::randint(37, {sequences, 13}, at::TensorOptions(at::kLong));
}

double largest(const at::Tensor& a) { return a.abs().max().to(at::kDouble).item<double>(); }
double distance(const at::Tensor& a, const at::Tensor& b) {
  return largest(a.to(at::kDouble) - b.to(at::kDouble)) / std::max(1e-12, largest(b));
}

// The loss as one graph over a plain model, and every storage tensor's gradient by autograd.
std::vector<at::Tensor> autograd_gradients(LlamaImpl& model, const at::Tensor& sequences, double& loss) {
  std::vector<at::Tensor> leaves;
  for (auto& [name, tensor] : model.storage_tensors()) {
    tensor.set_requires_grad(true);
    tensor.mutable_grad().reset();
    leaves.push_back(tensor);
  }
  const at::Tensor mean = token_nll(model, sequences, sequences.size(1) - 1).mean();
  mean.backward();
  loss = mean.item<double>();
  std::vector<at::Tensor> gradients;
  for (at::Tensor& leaf : leaves) {
    gradients.push_back(leaf.grad().clone());
    leaf.mutable_grad().reset();
  }
  return gradients;
}

std::int64_t set_threads(int threads) {
  at::set_num_threads(threads);
  return threads;
}

}  // namespace

TEST_CASE("linear_cross_entropy: loss and gradients are autograd's", "[unit]") {
  at::manual_seed(1);
  const auto check = [](at::ScalarType dtype, double tolerance) {
    const std::int64_t rows = 700, vocab = 41;  // more than one block of rows
    const at::Tensor hidden = at::randn({rows, 16}).to(dtype), weight = at::randn({vocab, 16}).to(dtype);
    const at::Tensor targets = at::randint(vocab, {rows}, at::TensorOptions(at::kLong));
    at::Tensor h = hidden.to(at::kDouble).requires_grad_(), w = weight.to(at::kDouble).requires_grad_();
    const at::Tensor expected = at::cross_entropy_loss(at::linear(h, w), targets, {}, at::Reduction::Sum);
    (expected * 0.25).backward();
    at::Tensor d_hidden, d_weight = at::zeros({vocab, 16});
    const double nll = linear_cross_entropy(hidden, weight, targets, 0.25, d_hidden, d_weight);
    CHECK(nll == Approx(expected.item<double>()).epsilon(tolerance));
    CHECK(linear_cross_entropy(hidden, weight, targets) == nll);
    CHECK(distance(d_hidden, h.grad()) < 2 * tolerance);
    CHECK(distance(d_weight, w.grad()) < 2 * tolerance);
  };
  check(at::kDouble, 1e-6);  // d_weight is float32 always
  check(at::kFloat, 1e-5);
  check(at::kBFloat16, 1e-2);
}

TEST_CASE("Pretrainer: gradients are those of one graph, whatever the micro-batches and workers", "[unit]") {
  const at::Tensor sequences = batch(7);
  set_threads(2);
  for (const bool tied : {true, false})
    for (const auto& [dtype, workers, micro, tolerance] : {std::tuple{at::kDouble, 1, 7, 1e-6},
                                                           {at::kDouble, 2, 2, 1e-6},
                                                           {at::kFloat, 2, 3, 1e-5},
                                                           {at::kBFloat16, 2, 2, 0.05}}) {
      INFO("tied " << tied << " workers " << workers << " micro " << micro);
      Pretrainer trainer(tiny(tied), dtype, at::kCPU, {workers, micro, {}}, 7, 0.2);
      const double loss = trainer.loss_and_gradient(sequences);
      Llama reference(tiny(tied), at::TensorOptions(at::kDouble));
      for (auto& [name, tensor] : reference->storage_tensors()) {
        const at::NoGradGuard no_grad;
        tensor.copy_(trainer.weights(name));
      }
      double expected = 0;
      const auto gradients = autograd_gradients(*reference, sequences, expected);
      CHECK(loss == Approx(expected).epsilon(tolerance));
      CHECK(trainer.total_nll(sequences) == Approx(expected * 7 * 12).epsilon(tolerance));
      std::size_t i = 0;
      for (const auto& [name, tensor] : reference->storage_tensors()) {
        INFO(name);
        CHECK(distance(trainer.gradient(name), gradients[i++]) < tolerance);
      }
    }
}

TEST_CASE("Pretrainer: gradients are finite differences of the loss, norms and embedding included", "[unit]") {
  Pretrainer trainer(tiny(true), at::kDouble, at::kCPU, {1, 4, {}}, 7, 0.2);
  const at::Tensor sequences = batch(4);
  const double tokens = 4 * 12, step = 1.0 / 256;  // exact in float32
  trainer.loss_and_gradient(sequences);
  for (const auto& [name, tensor] : trainer.model().storage_tensors()) {
    at::Tensor weights = trainer.weights(name).view({-1});
    const at::Tensor gradient = trainer.gradient(name).view({-1}).clone();
    const std::int64_t at = gradient.abs().argmax().item<std::int64_t>();  // where a wrong term would show most
    const float before = weights[at].item<float>();
    const auto loss_at = [&](double shift) {
      weights[at] = before + shift;
      const double moved = double(weights[at].item<float>()) - before;
      trainer.refresh();
      return std::pair{trainer.total_nll(sequences) / tokens, moved};
    };
    const auto [up, up_by] = loss_at(step);
    const auto [down, down_by] = loss_at(-step);
    weights[at] = before;
    trainer.refresh();
    INFO(name << " [" << at << "]");
    CHECK((up - down) / (up_by - down_by) == Approx(gradient[at].item<double>()).epsilon(2e-3));
  }
}

TEST_CASE("Pretrainer: only matrices decay", "[unit]") {
  AdamOptions with, without;
  with.weight_decay = 0.5;
  Pretrainer a(tiny(true), at::kFloat, at::kCPU, {1, 4, with}, 7, 0.2),
      b(tiny(true), at::kFloat, at::kCPU, {1, 4, without}, 7, 0.2);
  a.step(batch(4), 0.01);
  b.step(batch(4), 0.01);
  for (const auto& [name, tensor] : a.model().storage_tensors()) {
    INFO(name);
    CHECK(at::equal(a.weights(name), b.weights(name)) == (tensor.dim() == 1));
  }
}

TEST_CASE("Pretrainer: clipping bounds the gradient of all weights together and reports its norm before", "[unit]") {
  AdamOptions adam;
  adam.clip_norm = 1e-3;
  adam.eps = 1;  // the step is then nearly proportional to the gradient
  Pretrainer clipped(tiny(true), at::kFloat, at::kCPU, {1, 4, adam}, 7, 0.2);
  const at::Tensor before = clipped.weights("model.norm").clone();
  const PretrainStep first = clipped.step(batch(4), 1.0);
  CHECK(first.grad_norm > 0.01);
  CHECK(largest(clipped.weights("model.norm") - before) < 2e-3);
}

TEST_CASE("Pretrainer: equal calls give equal bits, and its state goes on in another", "[unit]") {
  const int threads = int(set_threads(2));
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    Pretrainer a(tiny(true), dtype, at::kCPU, {threads, 2, {}}, 7, 0.2),
        b(tiny(true), dtype, at::kCPU, {threads, 2, {}}, 7, 0.2),
        c(tiny(true), dtype, at::kCPU, {threads, 2, {}}, 8, 0.2);
    const at::Tensor sequences = batch(8);
    for (int i = 0; i < 3; ++i) {
      const PretrainStep x = a.step(sequences, 0.01), y = b.step(sequences, 0.01);
      CHECK(x.loss == y.loss);
      CHECK(x.grad_norm == y.grad_norm);
    }
    CHECK(c.total_nll(sequences) != a.total_nll(sequences));
    {
      const at::NoGradGuard no_grad;
      const auto from = a.state();
      auto to = c.state();
      for (std::size_t i = 0; i < from.size(); ++i) to[i].second.copy_(from[i].second);
    }
    c.refresh();
    for (int i = 0; i < 3; ++i) CHECK(a.step(sequences, 0.01).loss == c.step(sequences, 0.01).loss);
    CHECK(at::equal(a.state().front().second, c.state().front().second));
  }
}

TEST_CASE("Pretrainer: learns a batch by heart, in bfloat16 too", "[unit]") {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    Pretrainer trainer(tiny(true), dtype, at::kCPU, {1, 4, {}}, 7, 0.2);
    const at::Tensor sequences = batch(2);
    const double first = trainer.step(sequences, 0.01).loss;
    double last = first;
    for (int i = 0; i < 150; ++i) last = trainer.step(sequences, 0.01).loss;
    CHECK(last < 0.1 * first);
  }
}
