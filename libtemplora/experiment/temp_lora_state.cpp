#include <fmt/format.h>

#include "core/error.h"
#include "experiment/module_state.h"
#include "experiment/temp_lora.h"
#include "model/tensors.h"

namespace templora {

Json TempLora::state() const {
  Json state{{"book_index", book_index_}, {"next_chunk", next_chunk_}};
  Json& modules = state["modules"] = Json::object();
  for (const Learner& learner : learners_)
    modules[scorer_name(learner.scorer)] = {{"adapter_version", learner.version}, {"optimizer_steps", learner.trainer->steps()}};
  if (asks_for_scores()) {
    state["means"] = Json::array();
    for (const auto& mean : means_) state["means"].push_back(mean ? Json(*mean) : Json(nullptr));
  }
  if (base_cache_) state["base_cache"] = base_cache_->state();
  for (const Learner& learner : learners_)
    if (learner.cache) modules[scorer_name(learner.scorer)]["cache"] = learner.cache->state();
  return state;
}

void TempLora::save_tensors_to(const fs::path& file) const {
  NamedTensors tensors;
  for (const Learner& learner : learners_) add_module_state(tensors, scorer_name(learner.scorer), *learner.adapter, *learner.trainer);
  const auto add_cache = [&](const std::string& owner, const ContextCache* cache) {
    if (!cache) return;
    for (const auto& [name, tensor] : cache->tensors()) tensors.push_back({owner + ".cache." + name, tensor});
  };
  add_cache("base", base_cache_.get());
  for (const Learner& learner : learners_) add_cache(scorer_name(learner.scorer), learner.cache.get());
  save_tensors(file, tensors);
}

void TempLora::restore(const Json& state, const fs::path& file) {
  next_chunk_ = state.at("next_chunk").get<std::int64_t>();
  if (next_chunk_ < 0 || next_chunk_ > chunk_count())
    throw Error(Exit::bad_input, fmt::format("{}: next_chunk: got {}, wanted 0 to {}", file.string(), next_chunk_, chunk_count()));
  means_.clear();
  if (asks_for_scores()) {
    for (const Json& mean : state.at("means"))
      means_.push_back(mean.is_null() ? std::optional<double>() : std::optional<double>(mean.get<double>()));
    if (std::int64_t(means_.size()) != next_chunk_)
      throw Error(Exit::bad_input, fmt::format("{}: means: got {}, wanted one for each of the {} chunks done", file.string(), means_.size(),
                                               next_chunk_));
  }
  const SafetensorsFiles files = SafetensorsFiles::open_file(file);
  const auto restore_cache = [&](const std::string& owner, ContextCache* cache, const Json& saved) {
    if (cache) cache->restore(saved, book_.tokens, [&](const std::string& name) { return view_of(files.at(owner + ".cache." + name)).clone(); });
  };
  if (base_cache_) restore_cache("base", base_cache_.get(), state.at("base_cache"));
  for (Learner& learner : learners_) {
    const std::string module = scorer_name(learner.scorer);
    const Json& saved = state.at("modules").at(module);
    learner.version = saved.at("adapter_version").get<std::int64_t>();
    restore_module_state(files, module, saved.at("optimizer_steps").get<std::int64_t>(), *learner.adapter, *learner.trainer);
    if (learner.cache) restore_cache(module, learner.cache.get(), saved.at("cache"));
  }
}

void TempLora::save_adapter(const fs::path& folder) const {
  if (!learners_.empty()) save_peft_folder(*learners_.front().adapter, folder, config_.model.path);
}

}  // namespace templora
