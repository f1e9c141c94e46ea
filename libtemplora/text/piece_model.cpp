#include "text/piece_model.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/error.h"
#include "core/git_lfs.h"
#include "text/tokenizer_engine.h"

namespace templora {

namespace {

constexpr std::size_t kLargestModelBytes = std::size_t{256} << 20;

// normalizer_spec { add_dummy_prefix: false }: a field that comes again is merged into the first, so these
// bytes behind a model overrule that one setting and nothing else.
constexpr std::string_view kNoDummyPrefix("\x1A\x02\x18\x00", 4);

[[noreturn]] void refuse(const std::string& where, const std::string& problem) {
  throw Error(Exit::bad_input, fmt::format("{}: {}; copy the file again or name another tokenizer", where, problem));
}

std::optional<std::uint64_t> read_varint(std::string_view bytes, std::size_t& offset) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && offset < bytes.size(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes[offset++]);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return std::nullopt;
}

// A file cut between two pieces is still a message that sentencepiece takes, with fewer pieces and default
// settings. The two spec messages come after the pieces, so their presence tells a whole file from a cut one.
void check_complete(std::string_view bytes, const std::string& where) {
  std::array<bool, 4> seen{};
  for (std::size_t offset = 0; offset < bytes.size();) {
    const std::size_t start = offset;
    const auto key = read_varint(bytes, offset);
    const std::uint64_t type = key ? *key & 7 : 7;
    std::optional<std::uint64_t> skip;
    if (type == 0) {
      if (read_varint(bytes, offset)) skip = 0;
    } else if (type == 1) {
      skip = 8;
    } else if (type == 2) {
      skip = read_varint(bytes, offset);
    } else if (type == 5) {
      skip = 4;
    }
    if (!skip || *skip > bytes.size() - offset) {
      refuse(where, fmt::format("byte {}: not a field of a sentencepiece model, or cut short", start));
    }
    if (const std::uint64_t field = *key >> 3; field < seen.size()) seen[field] = true;
    offset += *skip;
  }
  if (!seen[1]) refuse(where, "no pieces, wanted a sentencepiece model");
  if (!seen[2] || !seen[3]) {
    refuse(where, fmt::format("no {}, wanted a whole sentencepiece model (is the file cut short?)",
                              seen[2] ? "normalizer_spec" : "trainer_spec"));
  }
}

}  // namespace

struct PieceModel::Impl {
  sentencepiece::SentencePieceProcessor processor;
};

PieceModel::PieceModel(const std::string& bytes, const std::string& where, bool without_dummy_prefix)
    : impl_(std::make_unique<Impl>()) {
  if (bytes.empty()) refuse(where, "the file is empty, wanted a sentencepiece model");
  refuse_lfs_pointer(bytes, where);
  if (bytes.size() > kLargestModelBytes) {
    refuse(where, fmt::format("got {} bytes, wanted at most {}", bytes.size(), kLargestModelBytes));
  }
  check_complete(bytes, where);
  const auto load = [&](std::string_view model) {
    const auto status = impl_->processor.LoadFromSerializedProto(model);
    if (status.ok()) return;
    std::string reason = status.message();
    std::replace(reason.begin(), reason.end(), '\n', ' ');
    refuse(where, fmt::format("sentencepiece refuses it ({})", reason));
  };
  load(without_dummy_prefix ? bytes + std::string(kNoDummyPrefix) : bytes);
}

PieceModel::~PieceModel() = default;

std::vector<Piece> PieceModel::encode(std::string_view text) const {
  if (text.size() > kLargestTextBytes) {
    throw Error(Exit::bad_input, fmt::format("text: got {} bytes to tokenise at once, wanted at most {}; cut it",
                                             text.size(), kLargestTextBytes));
  }
  sentencepiece::ImmutableSentencePieceText result;
  const auto status = impl_->processor.Encode(text, result.mutable_proto());
  if (!status.ok()) {
    throw Error(Exit::bad_input, fmt::format("text: sentencepiece cannot tokenise it ({})", status.message()));
  }
  std::vector<Piece> pieces;
  pieces.reserve(result.pieces_size());
  for (std::size_t i = 0; i < result.pieces_size(); ++i) {
    const auto piece = result.pieces(static_cast<int>(i));
    pieces.push_back({piece.piece(), piece.end()});
  }
  return pieces;
}

std::string PieceModel::decode(const std::vector<std::string>& pieces) const {
  std::string text;
  const auto status = impl_->processor.Decode(pieces, &text);
  if (!status.ok()) {
    throw Error(Exit::bad_input, fmt::format("tokens: sentencepiece cannot decode them ({})", status.message()));
  }
  return text;
}

std::int64_t PieceModel::size() const { return impl_->processor.GetPieceSize(); }

const std::string& PieceModel::piece(std::int64_t id) const {
  return impl_->processor.IdToPiece(static_cast<int>(id));
}

std::int64_t PieceModel::id(std::string_view piece) const { return impl_->processor.PieceToId(piece); }

bool PieceModel::is_control(std::int64_t id) const { return impl_->processor.IsControl(static_cast<int>(id)); }

}  // namespace templora
