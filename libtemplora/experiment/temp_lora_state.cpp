#include <fmt/format.h>

#include "core/error.h"
#include "experiment/temp_lora.h"
#include "model/tensors.h"

namespace templora {

Json TempLora::state() const {
  Json state{{"book_index", book_index_}, {"next_chunk", next_chunk_}};
  Json modules = Json::object();  // its place among the keys moves as others are added
  for (const ScoredAdapter& scored : scored_) {
    Json& module = modules[arm_name(scored.arm)];
    module = {{"adapter_version", scored.adapter->version()}, {"optimizer_steps", scored.adapter->steps()}};
    if (scored.cache) module["cache"] = scored.cache->state();
  }
  state["modules"] = std::move(modules);
  rules_.save(state);
  if (base_cache_) state["base_cache"] = base_cache_->state();
  if (neural_cache_) state["neural_cache"] = neural_cache_->state();
  return state;
}

void TempLora::save_tensors_to(const fs::path& file) const {
  NamedTensors tensors;
  for (const ScoredAdapter& scored : scored_) scored.adapter->add_state(tensors, arm_name(scored.arm));
  const auto add_cache = [&](const std::string& owner, const ContextCache* cache) {
    if (!cache) return;
    for (const auto& [name, tensor] : cache->tensors()) tensors.push_back({owner + ".cache." + name, tensor});
  };
  add_cache("base", base_cache_.get());
  if (neural_cache_)
    for (const auto& [name, tensor] : neural_cache_->tensors()) tensors.emplace_back("neural_cache." + name, tensor);
  for (const ScoredAdapter& scored : scored_) add_cache(arm_name(scored.arm), scored.cache.get());
  save_tensors(file, tensors);
}

void TempLora::restore(const Json& state, const fs::path& file) {
  next_chunk_ = state.at("next_chunk").get<std::int64_t>();
  if (next_chunk_ < 0 || next_chunk_ > chunk_count())
    throw Error(Exit::bad_input,
                fmt::format("{}: next_chunk: got {}, wanted 0 to {}", file.string(), next_chunk_, chunk_count()));
  rules_.restore(state, next_chunk_, file.string());
  const SafetensorsFiles files = SafetensorsFiles::open_file(file);
  const auto restore_cache = [&](const std::string& owner, ContextCache* cache, const Json& saved) {
    if (cache)
      cache->restore(saved, book_.tokens,
                     [&](const std::string& name) { return view_of(files.at(owner + ".cache." + name)).clone(); });
  };
  if (base_cache_) restore_cache("base", base_cache_.get(), state.at("base_cache"));
  if (neural_cache_)
    neural_cache_->restore(state.at("neural_cache"), [&](const std::string& name) {
      return view_of(files.at("neural_cache." + name)).to(model_.options().device()).clone();
    });
  for (ScoredAdapter& scored : scored_) {
    const std::string name = arm_name(scored.arm);
    const Json& saved = state.at("modules").at(name);
    scored.adapter->restore(files, name, saved.at("adapter_version").get<std::int64_t>(),
                            saved.at("optimizer_steps").get<std::int64_t>());
    if (scored.cache) restore_cache(name, scored.cache.get(), saved.at("cache"));
  }
}

void TempLora::save_adapter(const fs::path& folder) const {
  if (!scored_.empty()) scored_.front().adapter->save_peft(folder);
}

}  // namespace templora
