#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace templora {

/// A piece as sentencepiece cuts it.
struct Piece {
  std::string text;   ///< the piece's name; for an unknown stretch its surface
  std::size_t end;    ///< first byte of the input after it; a byte piece inside a character covers nothing
};

/// A sentencepiece model; keeps the library's headers out of ours. Safe to use from several threads.
class PieceModel {
 public:
  /// `bytes`: content of a tokenizer.model, `where` its name for messages. With `without_dummy_prefix` the
  /// model's own wish for a leading space is overruled. Throws Error(bad_input).
  PieceModel(const std::string& bytes, const std::string& where, bool without_dummy_prefix);
  ~PieceModel();

  /// Pieces of UTF-8 text of at most 1 GiB. Throws Error(bad_input) if sentencepiece refuses it.
  std::vector<Piece> encode(std::string_view text) const;
  std::string decode(const std::vector<std::string>& pieces) const;

  std::int64_t size() const;
  /// The piece of an id below size().
  const std::string& piece(std::int64_t id) const;
  /// The id of a piece; that of the unknown piece if there is none.
  std::int64_t id(std::string_view piece) const;
  /// Whether the piece of an id below size() is a control piece, which decodes to nothing.
  bool is_control(std::int64_t id) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace templora
