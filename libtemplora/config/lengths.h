#pragma once

#include <cstdint>

#include "config/config.h"

namespace templora {

/// The paper's lengths, in tokens, as a config gives them: a key that is null follows another one.

std::int64_t context_tokens(const Config& config);      ///< L_X: window.context_tokens, or train.prefix_tokens
std::int64_t window_tokens(const Config& config);       ///< W: cache.window_tokens, or L_X + Δ
/// Of a text's first chunk: window.first_chunk_tokens where it is read, Δ where it is written.
std::int64_t first_chunk_tokens(const Config& config);
/// What there has to be room for; also a first chunk that `fidelity: "official"` names where texts are written.
std::int64_t longest_chunk_tokens(const Config& config);

/// Whether a text is no longer than L_X + Δ: there is then no context beyond the window that could be kept in
/// parameters.
bool fits_one_window(const Config& config, std::int64_t tokens);

/// lora.reset_every_tokens of one adapter that goes on from document to document.
inline constexpr std::int64_t kOneForAll = -1;
inline bool one_for_all(const Config& config) { return config.lora.reset_every_tokens == kOneForAll; }

/// How many chunks behind the one that was just scored or written stands the chunk that is learnt next:
/// train.lag_chunks, and 1 where both go on at once.
std::int64_t training_lag(const Config& config);

/// Share of an update's inputs that training drops: lora.dropout, or none where whole projections learn.
double training_dropout(const LoraConfig& lora);

/// Whether a control learns from other texts than the scored one.
bool learns_other_texts(const Config& config);

/// Whether a text that is read is seen through kept keys and values (plan/cache_plan.h): cache.policy keeps them, or
/// the adapter computes a chunk's rows alone, behind the base's keys.
bool reads_through_cache(const Config& config);

}  // namespace templora
