#include "plan/scored_arms.h"

#include <algorithm>

namespace templora {

std::vector<Arm> scored_arms(const Config& config) {
  const auto controlled = [&](Control control) {
    return std::count(config.control.begin(), config.control.end(), control) > 0;
  };
  const bool caches = config.neural_cache.entries > 0;
  std::vector<Arm> arms;
  const auto add = [&](Arm arm, bool there) {
    if (there) arms.push_back(arm);
  };
  add(Arm::base, config.score.base);
  add(Arm::lora, config.score.adapter);
  add(Arm::other_book, controlled(Control::other_book));
  add(Arm::mixed_books, controlled(Control::mixed_books));
  add(Arm::shuffled_words, controlled(Control::shuffled_words));
  add(Arm::base_cache, caches);
  add(Arm::lora_cache, caches && config.score.adapter);
  add(Arm::base_bm25, config.bm25.passage_tokens > 0);
  return arms;
}

}  // namespace templora
