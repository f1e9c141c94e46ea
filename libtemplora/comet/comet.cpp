#include "comet/comet.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "comet/weights.h"
#include "core/error.h"
#include "core/file.h"
#include "text/xlmr_tokenizer.h"

namespace templora {
namespace {

constexpr const char* kConfigFile = "config.json";
constexpr const char* kPiecesFile = "sentencepiece.bpe.model";

// A batch holds at most this many tokens, padding included: about 100 MB of activations at 24 layers of 1024.
constexpr std::size_t kBatchTokens = 4096;
constexpr std::size_t kScoresAtOnce = 1024;  // segments in one pass of the estimator

const std::filesystem::path& present(const std::filesystem::path& folder) {
  if (const std::string line = Comet::missing(folder); !line.empty()) throw Error(Exit::bad_input, line);
  return folder;
}

using TokenRow = std::vector<std::int64_t>;

/// The different texts of all segments, tokenised.
struct Texts {
  std::vector<TokenRow> rows;
  std::vector<std::int64_t> src, mt, ref;  ///< for each segment, which rows are its parts

  Texts(std::span<const CometSegment> segments, const XlmrTokenizer& tokenizer, std::size_t max_tokens) {
    std::unordered_map<std::string_view, std::int64_t> known;
    const auto row_of = [&](const std::string& text, std::size_t segment, const char* side) {
      const auto [found, fresh] = known.try_emplace(text, static_cast<std::int64_t>(rows.size()));
      if (!fresh) return found->second;
      try {
        rows.push_back(tokenizer.encode(text, max_tokens));
      } catch (const Error& error) {
        throw Error(error.exit_code(), fmt::format("segment {}: {}: {}", segment + 1, side, error.what()));
      }
      return found->second;
    };
    for (std::size_t i = 0; i < segments.size(); ++i) {
      src.push_back(row_of(segments[i].src, i, "src"));
      mt.push_back(row_of(segments[i].mt, i, "mt"));
      ref.push_back(row_of(segments[i].ref, i, "ref"));
    }
  }
};

}  // namespace

struct Comet::Impl {
  Impl(const std::filesystem::path& folder, const at::Device& on)
      : config(read_comet_config(present(folder) / kConfigFile)),
        tokenizer(folder / kPiecesFile),
        net(load_comet_net(folder, config, on)),
        device(on) {
    if (tokenizer.size() > config.encoder.vocab_size)
      throw Error(
          Exit::bad_input,
          fmt::format("{}: got {} ids, config.json's encoder.vocab_size is {}; take the encoder's own {}",
                      (folder / kPiecesFile).string(), tokenizer.size(), config.encoder.vocab_size, kPiecesFile));
  }

  at::Tensor embed_rows(const std::vector<TokenRow>& rows, std::span<const std::int64_t> chosen) const;
  at::Tensor embed_all(const std::vector<TokenRow>& rows) const;

  CometConfig config;
  XlmrTokenizer tokenizer;
  mutable CometNet net;  // torch's forward passes are not const; no weight changes
  at::Device device;
};

// The chosen rows, the longest of them first, in one pass: [chosen, hidden].
at::Tensor Comet::Impl::embed_rows(const std::vector<TokenRow>& rows, std::span<const std::int64_t> chosen) const {
  const auto batch = static_cast<std::int64_t>(chosen.size());
  const auto seq = static_cast<std::int64_t>(rows[std::size_t(chosen[0])].size());
  at::Tensor tokens = at::full({batch, seq}, XlmrTokenizer::kPad, at::TensorOptions(at::kLong));
  at::Tensor lengths = at::empty({batch}, at::TensorOptions(at::kLong));
  for (std::int64_t i = 0; i < batch; ++i) {
    const TokenRow& row = rows[std::size_t(chosen[std::size_t(i)])];
    std::copy(row.begin(), row.end(), tokens.mutable_data_ptr<std::int64_t>() + i * seq);
    lengths.mutable_data_ptr<std::int64_t>()[i] = static_cast<std::int64_t>(row.size());
  }
  return net->embed(tokens.to(device), lengths.to(device));
}

// Sentence embeddings of all rows, [rows, hidden]. Rows of like length share a batch, so that little is padded; the
// longest come first, so that memory that does not suffice shows at once.
at::Tensor Comet::Impl::embed_all(const std::vector<TokenRow>& rows) const {
  at::Tensor out = at::empty({static_cast<std::int64_t>(rows.size()), config.encoder.hidden_size},
                             at::TensorOptions(at::kFloat).device(device));
  std::vector<std::int64_t> order(rows.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return rows[std::size_t(a)].size() > rows[std::size_t(b)].size();
  });
  for (std::size_t begin = 0; begin < order.size();) {
    const std::size_t fit = std::max<std::size_t>(1, kBatchTokens / rows[std::size_t(order[begin])].size());
    const std::span<const std::int64_t> chosen = std::span(order).subspan(begin, std::min(fit, order.size() - begin));
    const at::Tensor at_rows =
        at::tensor(at::ArrayRef<std::int64_t>(chosen.data(), chosen.size()), at::TensorOptions(at::kLong));
    out.index_copy_(0, at_rows.to(device), embed_rows(rows, chosen));
    begin += chosen.size();
  }
  return out;
}

Comet::Comet(const std::filesystem::path& folder, const c10::Device& device)
    : impl_(std::make_unique<Impl>(folder, device)) {}
Comet::~Comet() = default;
Comet::Comet(Comet&&) noexcept = default;

std::string Comet::missing(const std::filesystem::path& folder) {
  const char* advice = "COMET weights are not part of templora: docs/comet.md says how to get and convert them";
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored))
    return fmt::format("{}: no such folder; {}", folder.string(), advice);
  for (const char* name : {kConfigFile, kPiecesFile})
    if (!std::filesystem::exists(folder / name, ignored))
      return fmt::format("{}: no such file; {}", (folder / name).string(), advice);
  // Weights may also lie in shards.
  if (!std::filesystem::exists(folder / "model.safetensors", ignored) &&
      !std::filesystem::exists(folder / "model.safetensors.index.json", ignored))
    return fmt::format("{}: no such file; {}", (folder / "model.safetensors").string(), advice);
  return {};
}

std::vector<double> Comet::scores(std::span<const CometSegment> segments) const {
  const at::NoGradGuard no_grad;
  const Texts texts(segments, impl_->tokenizer, std::size_t(impl_->config.encoder.max_tokens()));
  std::vector<double> out;
  if (segments.empty()) return out;
  try {
    const at::Tensor embedded = impl_->embed_all(texts.rows);  // [rows, hidden]
    for (std::size_t begin = 0; begin < segments.size(); begin += kScoresAtOnce) {
      const std::size_t count = std::min(kScoresAtOnce, segments.size() - begin);
      const auto part = [&](const std::vector<std::int64_t>& rows) {
        const at::ArrayRef<std::int64_t> chosen(rows.data() + begin, count);
        return embedded.index_select(0, at::tensor(chosen, at::TensorOptions(at::kLong)).to(impl_->device));
      };
      const at::Tensor scored = impl_->net->score(part(texts.src), part(texts.mt), part(texts.ref)).cpu();  // [count]
      const float* values = scored.const_data_ptr<float>();
      out.insert(out.end(), values, values + count);
    }
  } catch (const c10::OutOfMemoryError& error) {
    throw Error(Exit::resources,
                fmt::format("COMET: no memory for {} texts on {} ({}); score fewer at a time or use another device",
                            texts.rows.size(), impl_->device.str(), error.what_without_backtrace()));
  }
  for (std::size_t i = 0; i < out.size(); ++i)
    if (!std::isfinite(out[i]))
      throw Error(Exit::numerics,
                  fmt::format("COMET: segment {}: got a score of {}, wanted a finite one; are the weights damaged?",
                              i + 1, out[i]));
  return out;
}

double comet_system_score(std::span<const double> scores) {
  if (scores.empty()) throw Error(Exit::bad_input, "COMET: got no segments, wanted at least one to average");
  return std::accumulate(scores.begin(), scores.end(), 0.0) / double(scores.size());
}

}  // namespace templora
