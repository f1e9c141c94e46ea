#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <filesystem>

#include "core/json.h"

namespace templora {

/// Shards of a merged model are no larger, as Hugging Face's usual ones; a tensor that is larger has one of its own.
inline constexpr std::uint64_t kShardBytes = std::uint64_t{5} << 30;

/// Writes a Hugging Face folder of the base whose weights have the adapter's update added: W + (alpha / rank) · B A, in
/// float32, then rounded to `dtype` (float32 or bfloat16), as all other weights are. Names, and whatever else the base
/// stores, are the base's; config.json (but for its dtype), tokenizer files and licences are copied;
/// provenance.json says what it was made of. `base` and `adapter` are folders; `out` must not be there, and is
/// there whole or not at all.
/// → provenance.json.
/// Throws Error: usage where `out` is there; bad_input where the adapter was made for another base (other_base()), has
/// a module that this base has not, or another shape; resources.
Json merge_adapter(const std::filesystem::path& base, const std::filesystem::path& adapter, at::ScalarType dtype,
                   const std::filesystem::path& out, std::uint64_t shard_bytes = kShardBytes);

/// Hash over the name and the bytes of each stored tensor of a model folder, in the order of names. Another one than
/// run.json's weights_hash, which is of the weights as a run holds them.
std::string tensors_hash(const std::filesystem::path& folder);

}  // namespace templora
