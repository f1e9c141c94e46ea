#include "train/pretrainer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "core/check.h"
#include "model/load.h"
#include "train/clipping.h"
#include "train/linear_cross_entropy.h"
#include "train/softmax_kernel.h"

namespace templora {
namespace {

// As storage_tensors() names them.
const char* const kEmbedding = "model.embed_tokens";
const char* const kHead = "lm_head";

void add_embedding_gradient(const at::Tensor& d_x, const at::Tensor& tokens, at::Tensor table) {
  const std::int64_t count = tokens.numel(), hidden = table.size(1);
  const at::Tensor rows = d_x.reshape({count, hidden}).contiguous();
  if (rows.device().is_cpu() && rows.scalar_type() == at::kBFloat16)
    cpu::add_rows(rows.const_data_ptr<at::BFloat16>(), tokens.const_data_ptr<std::int64_t>(),
                  table.mutable_data_ptr<float>(), count, hidden);
  else if (rows.device().is_cpu() && rows.scalar_type() == at::kFloat)
    cpu::add_rows(rows.const_data_ptr<float>(), tokens.const_data_ptr<std::int64_t>(), table.mutable_data_ptr<float>(),
                  count, hidden);
  else
    table.index_add_(0, tokens.reshape({-1}), rows.to(at::kFloat));
}

FlatParameters range_of(const FlatParameters& all, std::int64_t first, std::int64_t count) {
  FlatParameters range;
  range.value = all.value.narrow(0, first, count);
  range.grad = all.grad.narrow(0, first, count);
  return range;
}

}  // namespace

Pretrainer::Pretrainer(const LlamaConfig& config, at::ScalarType dtype, const at::Device& device,
                       const PretrainerOptions& options, std::uint64_t seed, double init_std)
    : options_(options) {
  const at::NoGradGuard no_grad;
  TEMPLORA_CHECK(options.workers > 0 && options.micro_sequences > 0, "a pretrainer needs a worker and a sequence");
  for (std::int64_t i = 0; i < options.workers; ++i)
    models_.emplace_back(config, at::TensorOptions(dtype).device(device));

  Llama masters(config, at::TensorOptions(at::kFloat).device(device));
  init_random_weights(*masters, seed, init_std);
  const auto initial = masters->storage_tensors();
  std::vector<std::vector<std::int64_t>> shapes;
  std::int64_t offset = 0, decayed = 0;
  for (const bool matrices : {true, false}) {
    for (std::size_t i = 0; i < initial.size(); ++i) {
      const auto& [name, tensor] = initial[i];
      if ((tensor.dim() == 2) != matrices) continue;
      shapes.push_back(tensor.sizes().vec());
      places_.push_back({name, i, offset, tensor.numel(), shapes.back()});
      offset += tensor.numel();
    }
    if (matrices) decayed = offset;
  }
  embedding_ = place_of(kEmbedding);
  head_ = config.tied_embeddings ? embedding_ : place_of(kHead);
  parameters_ = FlatParameters(shapes, device);
  parameters_.leaves.clear();
  for (const Place& place : places_) view(parameters_.value, place.name).copy_(initial[place.index].second);

  for (Llama& model : models_) {
    const auto tensors = model->storage_tensors();
    std::vector<at::Tensor>& storage = storages_.emplace_back();
    for (const Place& place : places_) {
      at::Tensor tensor = tensors[place.index].second;
      // The embedding's gradient is summed in float32 from that of its rows.
      if (place.name != kEmbedding && place.name != kHead) tensor.set_requires_grad(true);
      storage.push_back(tensor);
    }
  }
  for (std::int64_t i = 1; i < options.workers; ++i) worker_grads_.push_back(at::zeros_like(parameters_.grad));

  decayed_ = range_of(parameters_, 0, decayed);
  undecayed_ = range_of(parameters_, decayed, offset - decayed);
  AdamOptions adam = options.adam;
  adam.clip_norm = 0;  // the norm is that of both ranges
  decayed_adam_ = std::make_unique<AdamW>(decayed_, adam);
  adam.weight_decay = 0;
  undecayed_adam_ = std::make_unique<AdamW>(undecayed_, adam);
  refresh();
}

std::size_t Pretrainer::place_of(const std::string& name) const {
  const auto place = std::find_if(places_.begin(), places_.end(), [&](const Place& p) { return p.name == name; });
  TEMPLORA_CHECK(place != places_.end(), "no weight is called " + name);
  return std::size_t(place - places_.begin());
}

at::Tensor Pretrainer::view(const at::Tensor& flat, const std::string& name) const {
  const Place& place = places_[place_of(name)];
  return flat.narrow(0, place.offset, place.count).view(place.shape);
}

void Pretrainer::refresh() {
  const at::NoGradGuard no_grad;
  for (std::vector<at::Tensor>& storage : storages_)
    for (std::size_t i = 0; i < places_.size(); ++i)
      storage[i].copy_(parameters_.value.narrow(0, places_[i].offset, places_[i].count).view(places_[i].shape));
}

// Micro-batch m goes to worker m % workers. Inside the parallel region every operation runs on its own
// thread alone: two threads that meet once a step lose less than ones that meet in every product.
template <class Work>
double Pretrainer::share_out(const at::Tensor& sequences, Work&& work) {
  const std::int64_t count = sequences.size(0), micro = options_.micro_sequences, workers = options_.workers;
  const std::int64_t batches = (count + micro - 1) / micro;
  std::vector<double> sums(std::size_t(batches), 0.0);
  const auto run = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t worker = first; worker < last; ++worker)
      for (std::int64_t m = worker; m < batches; m += workers)
        sums[std::size_t(m)] =
            work(std::size_t(worker), sequences.narrow(0, m * micro, std::min(micro, count - m * micro)));
  };
  if (workers == 1)
    run(0, 1);
  else
    at::parallel_for(0, workers, 1, run);
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

double Pretrainer::micro_batch(std::size_t worker, const at::Tensor& sequences, double scale) {
  const std::int64_t batch = sequences.size(0), seq = sequences.size(1) - 1;
  LlamaImpl& model = *models_[worker];
  const at::Device device = model.options().device();
  const at::Tensor inputs = sequences.narrow(1, 0, seq).contiguous().to(device);
  const at::Tensor targets = sequences.narrow(1, 1, seq).reshape({-1}).to(device);
  at::Tensor grad = worker == 0 ? parameters_.grad : worker_grads_[worker - 1];
  const auto part = [&](std::size_t i) {
    return grad.narrow(0, places_[i].offset, places_[i].count).view(places_[i].shape);
  };

  at::Tensor embedded;
  {
    const at::NoGradGuard no_grad;
    embedded = model.embed(inputs);  // [batch, seq, hidden]
  }
  embedded.set_requires_grad(true);
  const at::AutoGradMode with_graph(true);
  const at::Tensor hidden = model.decode(embedded, 0, seq);  // [batch, seq, hidden]
  at::Tensor d_hidden, d_head = part(head_);
  const double nll = linear_cross_entropy(hidden.detach().view({batch * seq, -1}), model.head_weight().detach(),
                                          targets, scale, d_hidden, d_head);
  hidden.backward(d_hidden.view(hidden.sizes()));

  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    at::Tensor& g = storages_[worker][i].mutable_grad();
    if (!g.defined()) continue;
    part(i).add_(g);
    g.reset();
  }
  add_embedding_gradient(embedded.grad(), inputs, part(embedding_));
  return nll;
}

double Pretrainer::loss_and_gradient(const at::Tensor& sequences) {
  const double tokens = double(sequences.size(0) * (sequences.size(1) - 1));
  parameters_.grad.zero_();
  for (at::Tensor& grad : worker_grads_) grad.zero_();
  const double nll = share_out(sequences, [&](std::size_t worker, const at::Tensor& part) {
    return micro_batch(worker, part, 1.0 / tokens);
  });
  for (const at::Tensor& grad : worker_grads_) parameters_.grad.add_(grad);
  return nll / tokens;
}

PretrainStep Pretrainer::step(const at::Tensor& sequences, double learning_rate) {
  PretrainStep result;
  result.loss = loss_and_gradient(sequences);
  if (on_part) on_part("gradient");
  const at::NoGradGuard no_grad;
  result.grad_norm = clip_gradient(parameters_, options_.adam.clip_norm).item<double>();
  decayed_adam_->step(learning_rate);
  undecayed_adam_->step(learning_rate);
  refresh();
  if (on_part) on_part("optimizer");
  return result;
}

double Pretrainer::total_nll(const at::Tensor& sequences) {
  return share_out(sequences, [&](std::size_t worker, const at::Tensor& part) {
    const at::NoGradGuard no_grad;
    LlamaImpl& model = *models_[worker];
    const std::int64_t seq = part.size(1) - 1;
    const at::Device device = model.options().device();
    const at::Tensor hidden = model.forward(part.narrow(1, 0, seq).to(device), 0, seq);
    return linear_cross_entropy(hidden.reshape({part.size(0) * seq, -1}), model.head_weight(),
                                part.narrow(1, 1, seq).reshape({-1}).to(device));
  });
}

std::vector<std::pair<std::string, at::Tensor>> Pretrainer::state() const {
  return {{"weights", parameters_.value},
          {"exp_avg.matrices", decayed_adam_->exp_avg},
          {"exp_avg_sq.matrices", decayed_adam_->exp_avg_sq},
          {"steps.matrices", decayed_adam_->steps},
          {"exp_avg.vectors", undecayed_adam_->exp_avg},
          {"exp_avg_sq.vectors", undecayed_adam_->exp_avg_sq},
          {"steps.vectors", undecayed_adam_->steps}};
}

}  // namespace templora
