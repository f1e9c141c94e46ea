#include "lora/lora_adapter.h"

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "config/adapter_sites.h"
#include "core/check.h"
#include "core/error.h"
#include "lora/full_linear.h"

namespace templora {
namespace {

at::Generator make_generator(const at::Device& device, std::uint64_t seed) {
  if (device.is_cpu()) return at::detail::createCPUGenerator(seed);
  at::Generator generator = at::globalContext().defaultGenerator(device).clone();
  generator.set_current_seed(seed);
  return generator;
}

at::Tensor values_of(const at::Tensor& leaf) { return leaf.defined() ? leaf.detach() : leaf; }
at::Tensor grad_of(const at::Tensor& leaf) { return leaf.defined() ? leaf.grad() : leaf; }

}  // namespace

class LoraAdapter::Group : public LinearAdapter {
 public:
  Group(LoraAdapter& owner, const LlamaImpl::Site& site, std::vector<std::string> names, std::vector<LoraPart> parts)
      : owner(owner), site(site), names(std::move(names)), parts(std::move(parts)) {}

  at::Tensor forward(const at::Tensor& x, const Projections& base) override {
    if (!owner.is_low_rank()) return full_linear(x, base.weight(), base.bias(), b, parts);
    const double scale = owner.config_.alpha / double(owner.config_.rank);
    return lora_linear(x, base.weight(), base.bias(), a, b, parts, scale, owner.training_ ? owner.config_.dropout : 0.0,
                       owner.generator_);
  }

  LoraAdapter& owner;
  LlamaImpl::Site site;
  std::vector<std::string> names;  // targeted projections, in the group's order
  std::vector<LoraPart> parts;
  at::Tensor a, b;  // leaves of owner's flat parameters: [parts · rank, in], [Σ part rows, rank]; or none, [Σ rows, in]
};

LoraAdapter::LoraAdapter(LlamaImpl& model, const LoraConfig& config, std::uint64_t seed)
    : config_(config), generator_(make_generator(model.options().device(), seed)) {
  check_adapter_sites(config, model.config().layer(0), model.layer_count());
  std::vector<std::vector<std::int64_t>> shapes;
  for (const LlamaImpl::Site& site : model.adapter_sites()) {
    if (config.layers && std::count(config.layers->begin(), config.layers->end(), site.layer) == 0) continue;
    std::vector<std::string> names;
    std::vector<LoraPart> parts;
    std::int64_t rows = 0;
    for (const Projection& projection : site.projections->parts()) {
      if (std::count(config.targets.begin(), config.targets.end(), projection.name) == 0) continue;
      names.push_back(projection.name);
      parts.push_back({projection.first_row, projection.rows});
      rows += projection.rows;
    }
    if (parts.empty()) continue;
    const std::int64_t in = site.projections->in();
    if (is_low_rank()) shapes.push_back({std::int64_t(parts.size()) * config.rank, in});
    shapes.push_back({rows, is_low_rank() ? config.rank : in});
    groups_.push_back(std::make_unique<Group>(*this, site, std::move(names), std::move(parts)));
  }
  parameters_ = FlatParameters(shapes, model.options().device());
  auto leaf = parameters_.leaves.begin();
  for (const auto& group : groups_) {
    if (is_low_rank()) group->a = *leaf++;
    group->b = *leaf++;
  }
  init_weights(seed);
  attach();
}

LoraAdapter::~LoraAdapter() { detach(); }

void LoraAdapter::attach() {
  for (const auto& group : groups_) {
    TEMPLORA_CHECK(group->site.projections->adapter == nullptr, "a projection has one adapter slot and it is taken");
    group->site.projections->adapter = group.get();
  }
}

void LoraAdapter::detach() {
  for (const auto& group : groups_)
    if (group->site.projections->adapter == group.get()) group->site.projections->adapter = nullptr;
}

void LoraAdapter::init_weights(std::uint64_t seed) {
  const at::NoGradGuard no_grad;
  // On the CPU whatever the device, so that a seed means the same adapter everywhere. Dropout draws from
  // another generator, or a resumed run would have to replay this.
  at::Generator generator = at::detail::createCPUGenerator(seed);
  for (const Named& named : named_tensors()) {
    named.b.zero_();
    if (!is_low_rank()) continue;
    const double bound = 1.0 / std::sqrt(double(named.a.size(1)));
    at::Tensor drawn = at::empty(named.a.sizes(), at::TensorOptions(at::kFloat));
    named.a.copy_(drawn.uniform_(-bound, bound, generator));
  }
}

void LoraAdapter::forget_b() {
  const at::NoGradGuard no_grad;
  for (const Named& named : named_tensors()) named.b.zero_();
}

std::vector<LoraAdapter::Named> LoraAdapter::named_tensors() const {
  std::vector<Named> named;
  for (const auto& group : groups_) {
    std::int64_t b_row = 0;
    for (std::size_t p = 0; p < group->parts.size(); ++p) {
      const std::int64_t a_row = std::int64_t(p) * config_.rank, rows = group->parts[p].rows;
      const auto a_of = [&](const at::Tensor& t) { return t.defined() ? t.narrow(0, a_row, config_.rank) : t; };
      const auto b_of = [&](const at::Tensor& t) { return t.narrow(0, b_row, rows); };
      named.push_back({group->site.parent + "." + group->names[p], a_of(values_of(group->a)), b_of(values_of(group->b)),
                       a_of(grad_of(group->a)), b_of(grad_of(group->b))});
      b_row += rows;
    }
  }
  return named;
}

at::Tensor LoraAdapter::generator_state() const {
  const std::lock_guard lock(generator_.mutex());
  return generator_.get_state();
}

void LoraAdapter::set_generator_state(const at::Tensor& state) {
  const std::lock_guard lock(generator_.mutex());
  generator_.set_state(state);
}

}  // namespace templora
