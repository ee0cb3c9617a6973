// The team of threads: that of the OpenMP runtime, which torch has already loaded.
//
// Callers from several Python threads take turns at the team; a call on one thread does not need it. A forked child has
// no team (OpenMP's threads do not survive a fork) and runs on one thread.
#pragma once

#include <atomic>
#include <cstddef>

namespace unrolled {

// A barrier for all threads of a team. It spins, and yields the processor from time to time.
class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {}
  void wait();

 private:
  const int threads_;
  std::atomic<int> arrived_{0}, round_{0};
};

// Runs work(context, id) on `threads` threads, id = 0 … threads − 1, and waits for all of them. Returns false, with
// nothing run, if there are not so many; the caller then plans for one thread.
bool run_team(int threads, void (*work)(void* context, int id), void* context);

// Whether this process was forked from one that had loaded the kernels.
bool forked();

// Memory for one call, kept by the calling thread for its next one. Arrays are not freed one by one.
class Workspace {
 public:
  static Workspace& of_this_thread();
  void begin();              // frees all arrays of the last call
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

// Requests large pages for a large array that is about to be written for the first time.
void expect_large(void* data, size_t bytes);

}  // namespace unrolled
