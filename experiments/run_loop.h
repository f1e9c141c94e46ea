#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/log.h"
#include "core/stop.h"
#include "run/run_folder.h"
#include "run_record.h"

namespace templora {

// The skeleton that runs share: open the folder, go on where a saved state stands, step, save, stop, finish. What a run
// streams (a book, a novel, a text that is being written) has next_chunk(), state(), save_tensors_to() and restore().

/// Prints `file` of a finished run, called `what` ("table").
inline void show_finished(const RunFolder& folder, const char* what, const char* file) {
  log_line(fmt::format("{} is finished; its {}:", folder.path().string(), what));
  show_result(read_file(folder.path() / file));
}

template <class Stream>
void save_stream(RunFolder& folder, const Stream& stream) {
  folder.save_state(stream.state(), [&](const fs::path& file) { stream.save_tensors_to(file); });
}

/// Between two chunks, of which this process has done `chunks`: saves the state where it is time. Where a signal came
/// it saves, too, and throws Error(interrupted).
template <class Stream>
void between_chunks(RunFolder& folder, const Config& config, const Stream& stream, std::int64_t chunks) {
  const bool stop = stop_requested();
  if (stop || chunks % config.run.save_every_chunks == 0) save_stream(folder, stream);
  if (stop) end_stopped(folder.path());
}

/// Streams the `count` documents of a run, of `total_tokens` in all, in their order, from where the saved state stands.
/// `documents` has
///   tokens(index) → tokens of a document;
///   open(index) → the stream of a document, as it begins;
///   begun(stream, index): once it stands where it goes on; its record is in the folder;
///   record(index) → the document's BookRecord;
///   step(stream, index) → the next chunk's ChunkRecord, once all that it gave is in the folder; nothing where a signal
///     came and the stream is as before;
///   ended(index): all chunks of the document are in the folder.
template <class Documents>
void stream_documents(Documents& documents, std::int64_t count, std::int64_t total_tokens, RunFolder& folder,
                      const Config& config) {
  Progress progress(total_tokens);
  RunningTotals running(folder.path());
  const std::optional<Json> saved = folder.saved_state();
  const std::int64_t first = saved ? saved->at("book_index").template get<std::int64_t>() : 0;
  std::int64_t before = 0;
  for (std::int64_t i = 0; i < first; ++i) before += documents.tokens(i);

  for (std::int64_t index = first; index < count; before += documents.tokens(index), ++index) {
    auto stream = documents.open(index);
    if (saved && index == first)
      stream.restore(*saved, folder.saved_tensors());
    else
      folder.append_book(documents.record(index));
    documents.begun(stream, index);
    while (stream.next_chunk() < stream.chunk_count()) {
      if (const std::optional<ChunkRecord> chunk = documents.step(stream, index)) {
        running.add(*chunk);
        progress.update(before + stream.tokens_done(), fmt::format("{} chunk {}/{}{}", chunk->book, stream.next_chunk(),
                                                                   stream.chunk_count(), running.text()));
      }
      between_chunks(folder, config, stream, stream.next_chunk());
    }
    save_stream(folder, stream);
    documents.ended(index);
    if (config.lora.save_final) stream.save_adapter(folder.path() / "adapters" / std::to_string(index));
  }
}

}  // namespace templora
