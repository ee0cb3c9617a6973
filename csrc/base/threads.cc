#include "threads.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include <cstdint>
#include <mutex>
#include <new>

namespace unrolled {
namespace {

constexpr int kSpins = 4000;  // some microseconds, then the processor is yielded
constexpr size_t kLargePage = size_t(2) << 20;

std::mutex team;
bool is_forked = false;

struct ForkHandler {
  ForkHandler() {
    pthread_atfork(nullptr, nullptr, [] {
      new (&team) std::mutex;  // the thread that held it does not exist in the child
      is_forked = true;
    });
  }
} fork_handler;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

void Barrier::wait() {
  if (threads_ == 1) return;
  const int round = round_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == threads_ - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; round_.load(std::memory_order_acquire) == round;) {
    relax();
    if (++spins == kSpins) {
      spins = 0;
      sched_yield();
    }
  }
}

bool run_team(int threads, void (*work)(void*, int), void* context) {
  if (threads == 1) {
    work(context, 0);
    return true;
  }
  if (is_forked || omp_in_parallel()) return false;
  const std::lock_guard<std::mutex> turn(team);
  bool enough = true;
#pragma omp parallel num_threads(threads)
  {
    if (omp_get_num_threads() == threads)
      work(context, omp_get_thread_num());
    else if (omp_get_thread_num() == 0)
      enough = false;
  }
  return enough;
}

bool forked() { return is_forked; }

Workspace& Workspace::of_this_thread() {
  static thread_local Workspace workspace;
  return workspace;
}

void Workspace::begin() {
  if (count_ > 1) {  // the last call needed several blocks: replace them by one of their size
    size_t size = 0;
    for (int i = 0; i < count_; ++i) size += blocks_[i].size;
    release();
    grow(size);
  }
  used_ = 0;
}

void* Workspace::take(size_t bytes) {
  bytes = (bytes + 63) & ~size_t(63);
  if (count_ == 0 || used_ + bytes > blocks_[count_ - 1].size) grow(bytes);
  void* const taken = blocks_[count_ - 1].data + used_;
  used_ += bytes;
  return taken;
}

void Workspace::grow(size_t least) {
  if (count_ == kBlocks) throw std::bad_alloc();
  size_t size = count_ ? 2 * blocks_[count_ - 1].size : kLargePage;
  while (size < least) size *= 2;
  void* const data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  madvise(data, size, MADV_HUGEPAGE);
#endif
  blocks_[count_++] = {static_cast<char*>(data), size};
  used_ = 0;
}

void Workspace::release() {
  for (int i = 0; i < count_; ++i) munmap(blocks_[i].data, blocks_[i].size);
  count_ = 0;
}

Workspace::~Workspace() { release(); }

void expect_large(void* data, size_t bytes) {
#if defined(MADV_HUGEPAGE)
  if (bytes < 2 * kLargePage) return;
  const uintptr_t page = 4096, begin = (reinterpret_cast<uintptr_t>(data) + page - 1) & ~(page - 1);
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) & ~(page - 1);
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  (void)data, (void)bytes;
#endif
}

}  // namespace unrolled
