#include "experiment/temporary_adapter.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include "core/error.h"
#include "model/tensors.h"

namespace templora {
namespace {

// The optimizer keeps what it starts from: these weights have to be there first.
FlatParameters& with_first_weights(LoraAdapter& lora, const LoraConfig& config) {
  if (config.init_from) load_peft_folder(lora, *config.init_from);
  if (config.init_parts == InitParts::a) lora.forget_b();
  return lora.parameters();
}

}  // namespace

TemporaryAdapter::TemporaryAdapter(LlamaImpl& model, const Config& config, std::uint64_t seed,
                                   const MakeOptimizer& make)
    : config_(config),
      lora_(model, config.lora, seed),
      trainer_(model, with_first_weights(lora_, config.lora), config.train, make) {}

Learnt TemporaryAdapter::learn(const NllPass& pass, const Place& place, std::int64_t steps,
                               std::optional<ScoredChunk> first, const OnPart& on_part) {
  const std::vector<double> rates = learning_rates(config_.train, place, trainer_.steps(), steps);
  if (config_.train.moments == Moments::reset) trainer_.optimizer().reset();
  lora_.set_training(true);
  Learnt learnt{trainer_.update(pass, rates, std::move(first), on_part), rates.back()};
  lora_.set_training(false);
  ++version_;
  return learnt;
}

void TemporaryAdapter::add_state(NamedTensors& tensors, const std::string& name) const {
  tensors.emplace_back(name + ".weights", lora_.parameters().value);
  for (const auto& [part, tensor] : trainer_.optimizer().state()) tensors.emplace_back(name + "." + part, tensor);
  tensors.emplace_back(name + ".generator", lora_.generator_state());
}

void TemporaryAdapter::restore(const SafetensorsFiles& files, const std::string& name, std::int64_t version,
                               std::int64_t steps) {
  version_ = version;
  trainer_.set_steps(steps);
  copy_stored(files, name + ".weights", lora_.parameters().value);
  for (const auto& [part, tensor] : trainer_.optimizer().state()) copy_stored(files, name + "." + part, tensor);
  at::Tensor generator = lora_.generator_state();  // copied into, so that another device's or a damaged one is refused
  copy_stored(files, name + ".generator", generator);
  try {
    lora_.set_generator_state(generator);
  } catch (const c10::Error&) {
    throw Error(Exit::bad_input, fmt::format("{}: {}.generator: is no state of this device's generator",
                                             files.path().string(), name));
  }
}

}  // namespace templora
