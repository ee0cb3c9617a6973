// Threads: one team for everybody, the one of the OpenMP runtime that torch has loaded already.
//
// Callers from several Python threads take turns at the team; who needs one thread only needs no turn. A forked child
// has no team (OpenMP's threads do not survive a fork) and works alone.
#pragma once

#include <atomic>
#include <cstddef>

namespace unrolled {

// All of a team wait here for each other. Spins, but not for long where others want the processor.
class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {}
  void wait();

 private:
  const int threads_;
  std::atomic<int> arrived_{0}, round_{0};
};

// Runs work(context, id) on `threads` threads, id = 0 … threads − 1, and waits for all of them. Returns false, with
// nothing run, where so many are not to be had; the caller then plans for one.
bool run_team(int threads, void (*work)(void* context, int id), void* context);

// Whether this process was forked from one that had loaded the kernels.
bool forked();

// Memory for one call, kept by the calling thread for its next one. Nothing is freed one by one.
class Workspace {
 public:
  static Workspace& of_this_thread();
  void begin();              // what was taken before is given up
  void* take(size_t bytes);  // aligned to 64, not cleared
  ~Workspace();

 private:
  struct Block {
    char* data = nullptr;
    size_t size = 0;
  };
  static constexpr int kBlocks = 32;
  void grow(size_t least);
  void release();
  Block blocks_[kBlocks];
  int count_ = 0;
  size_t used_ = 0;  // of the last block
};

// Ask for large pages for a large array that is about to be written for the first time.
void expect_large(void* data, size_t bytes);

}  // namespace unrolled
