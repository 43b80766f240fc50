// SPDX-License-Identifier: BSD-3-Clause
// What this core can do at most: multiply-adds from L1 and from registers, bytes from each cache.
//
// Compiled once per instruction set, like the library's kernels, with VECTOR_BYTES and TILE_ROWS
// given. A tile is TILE_ROWS rows by two vectors of accumulators, over kDepth terms, its operands
// in L1: the inner loop of a matrix product with nothing around it.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef VECTOR_BYTES
#define VECTOR_BYTES 16
#endif
#ifndef TILE_ROWS
#define TILE_ROWS 6
#endif

enum { kDepth = 128, kChains = 12, kMaxThreads = 64 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#if defined(__x86_64__)
#define IN_REGISTER(x) "+x"(x)
#else
#define IN_REGISTER(x) "+w"(x)
#endif

#define T float
#define NAME(x) x##_f32
#include "roof-inl.h"
#undef T
#undef NAME
#define T double
#define NAME(x) x##_f64
#include "roof-inl.h"

typedef float Lanes __attribute__((vector_size(VECTOR_BYTES)));

// Bytes read a second from a block read over and over.
static double read_loop(double seconds, size_t bytes) {
  const size_t count = bytes / sizeof(Lanes) / 8 * 8;
  Lanes* block = aligned_alloc(64, count * sizeof(Lanes));
  for (size_t i = 0; i < count; ++i) block[i] = (Lanes){0} + 1.0f;
  Lanes sums[8] = {{0}};
  double done = 0, spent;
  const double began = now();
  do {
    for (size_t i = 0; i < count; i += 8) {
      _Pragma("GCC unroll 8") for (int j = 0; j < 8; ++j) sums[j] += block[i + (size_t)j];
    }
    done += (double)(count * sizeof(Lanes));
    spent = now() - began;
  } while (spent < seconds);
  volatile float sink = 0;
  for (int j = 0; j < 8; ++j) sink = sink + sums[j][0];
  free(block);
  return done / spent;
}

// Bytes moved a second (read and written both counted) by memcpy.
static double copy_loop(double seconds, size_t bytes) {
  const size_t half = bytes / 2 / 64 * 64;
  char *from = aligned_alloc(64, half), *to = aligned_alloc(64, half);
  memset(from, 1, half), memset(to, 2, half);
  double done = 0, spent;
  const double began = now();
  do {
    memcpy(to, from, half);
    __asm__ volatile("" : : "r"(to) : "memory");
    done += 2.0 * (double)half;
    spent = now() - began;
  } while (spent < seconds);
  free(from), free(to);
  return done / spent;
}

enum Probe { kTileF32, kTileF64, kRegisterF32, kRegisterF64, kRead, kCopy };

typedef struct {
  int probe, number;
  double seconds;
  size_t bytes;
  pthread_barrier_t* start;
  double rate;
} Job;

// Onto the number-th of the processors that this process may use: two threads that the scheduler
// leaves on one core for a while would measure that.
static void pin(int number) {
  cpu_set_t all, one;
  if (sched_getaffinity(0, sizeof(all), &all) != 0) return;
  CPU_ZERO(&one);
  for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &all) && number-- == 0) CPU_SET(cpu, &one);
  }
  if (CPU_COUNT(&one) == 1) pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
}

static void* work(void* argument) {
  Job* job = argument;
  if (job->number >= 0) pin(job->number);
  pthread_barrier_wait(job->start);
  switch (job->probe) {
    case kTileF32: job->rate = tile_loop_f32(job->seconds); break;
    case kTileF64: job->rate = tile_loop_f64(job->seconds); break;
    case kRegisterF32: job->rate = register_loop_f32(job->seconds); break;
    case kRegisterF64: job->rate = register_loop_f64(job->seconds); break;
    case kRead: job->rate = read_loop(job->seconds, job->bytes); break;
    default: job->rate = copy_loop(job->seconds, job->bytes); break;
  }
  return NULL;
}

// Runs one probe on `threads` threads at once, each with `bytes` of its own; returns the sum of
// their rates, operations or bytes a second.
double roof(int probe, int threads, double seconds, size_t bytes) {
  if (threads < 1 || threads > kMaxThreads) return 0;
  pthread_t ids[kMaxThreads];
  Job jobs[kMaxThreads];
  pthread_barrier_t start;
  pthread_barrier_init(&start, NULL, (unsigned)threads);
  for (int t = 0; t < threads; ++t) {
    // A single thread goes where there is room; all are new, so that no pin outlives the probe.
    jobs[t] = (Job){probe, threads > 1 ? t : -1, seconds, bytes, &start, 0};
    if (pthread_create(&ids[t], NULL, work, &jobs[t]) != 0) return 0;
  }
  double sum = 0;
  for (int t = 0; t < threads; ++t) {
    pthread_join(ids[t], NULL);
    sum += jobs[t].rate;
  }
  pthread_barrier_destroy(&start);
  return sum;
}
