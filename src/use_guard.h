// SPDX-License-Identifier: BSD-3-Clause
// Who may use an object of a compiled class when: a second user gets a RuntimeError that names what
// runs. The decisions are atomic, so that they hold on any interpreter, with or without a GIL.
//
// UseGuard is for what many may read and one may change (a network), WorkGuard for what one call at
// a time works with (a trainer). Both know the thread that has the object, since callbacks and
// signal handlers of that thread come back to it. Nothing here waits for Python.
#pragma once

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>

namespace fastrelu::python {

// Many threads may read; one may change the object, and while it does, others get an error. The
// changing thread itself may read, and change more, in between.
class UseGuard {
 public:
  explicit UseGuard(const char* object) : object_(object) {}
  UseGuard(const UseGuard&) = delete;
  UseGuard& operator=(const UseGuard&) = delete;

  void begin_read() {
    int users = users_.load(std::memory_order_relaxed);
    do {
      if (users == kTaken) {
        if (is_mine()) return;
        refuse();
      }
    } while (!users_.compare_exchange_weak(users, users + 1, std::memory_order_acquire,
                                           std::memory_order_relaxed));
  }
  void end_read() {
    // Readers are not counted while the object is taken: this reading was the holder's own.
    if (users_.load(std::memory_order_relaxed) == kTaken) return;
    users_.fetch_sub(1, std::memory_order_release);
  }

  // `what` is a literal: "a fit".
  void begin_write(const char* what) {
    int users = 0;
    if (users_.compare_exchange_strong(users, kTaken, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
      what_.store(what, std::memory_order_relaxed);
      holder_.store(std::this_thread::get_id(), std::memory_order_relaxed);
      depth_ = 1;
      return;
    }
    if (users != kTaken) {
      throw std::runtime_error(std::string(object_) + ": another thread is reading it");
    }
    if (!is_mine()) refuse();
    ++depth_;
  }
  void end_write() {
    if (--depth_ > 0) {
      holder_.store(std::this_thread::get_id(), std::memory_order_relaxed);  // if it was disowned
      return;
    }
    what_.store(nullptr, std::memory_order_relaxed);
    holder_.store(std::thread::id(), std::memory_order_relaxed);
    users_.store(0, std::memory_order_release);
  }

  // For a run that takes objects on one thread and works with them on others: from now on they are
  // nobody's, but for the time of a loan. Only the thread that works with the object lends it.
  void disown() { holder_.store(std::thread::id(), std::memory_order_relaxed); }
  void lend() { holder_.store(std::this_thread::get_id(), std::memory_order_relaxed); }

 private:
  static constexpr int kTaken = -1;

  bool is_mine() const {
    return holder_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }
  [[noreturn]] void refuse() const {
    const char* const what = what_.load(std::memory_order_relaxed);
    throw std::runtime_error(std::string(object_) + ": " +
                             (what != nullptr ? what : "a fit or step") +
                             " is running on it in another thread");
  }

  const char* const object_;
  std::atomic<int> users_{0};  // readers, or kTaken
  std::atomic<const char*> what_{nullptr};
  std::atomic<std::thread::id> holder_{};
  int depth_ = 0;  // the holder's
};

// One call at a time works with the object; another one gets an error, also if a signal handler
// makes it on the thread that works. Others may look at it between two calls.
class WorkGuard {
 public:
  explicit WorkGuard(const char* object) : object_(object) {}
  WorkGuard(const WorkGuard&) = delete;
  WorkGuard& operator=(const WorkGuard&) = delete;

  // `what` is a literal: "a step".
  void begin(const char* what) {
    const char* running = nullptr;
    if (running_.compare_exchange_strong(running, what)) {
      worker_.store(std::this_thread::get_id(), std::memory_order_relaxed);
      // Looks that came first are over in nanoseconds.
      while (looks_.load() != 0) std::this_thread::yield();
      return;
    }
    if (!is_mine() || !lent_) refuse(running);
    lent_ = false;
    nested_ = true;
  }
  void end() {
    if (nested_) {
      nested_ = false;
      lent_ = true;
      return;
    }
    worker_.store(std::thread::id(), std::memory_order_relaxed);
    running_.store(nullptr, std::memory_order_release);
  }

  // f(), which reads what calls change and does nothing else: it may neither wait nor call Python.
  // An error while another thread works with the object.
  template <class F>
  auto look(F f) -> decltype(f()) {
    looks_.fetch_add(1);
    const char* const running = running_.load();
    if (running != nullptr && !is_mine()) {
      looks_.fetch_sub(1, std::memory_order_release);
      refuse(running);  // takes microseconds, for which nobody is to wait
    }
    const Look counted(looks_);
    return f();
  }

  bool is_held_here() const { return is_mine(); }

  // As UseGuard's; who has it on loan may also begin work, once at a time, but not disown it.
  void disown() {
    if (nested_) refuse(running_.load(std::memory_order_relaxed));
    worker_.store(std::thread::id(), std::memory_order_relaxed);
  }
  void lend() {
    worker_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    lent_ = true;
  }
  void take_back() {
    lent_ = false;
    worker_.store(std::thread::id(), std::memory_order_relaxed);
  }

 private:
  class Look {
   public:
    explicit Look(std::atomic<int>& looks) : looks_(looks) {}
    ~Look() { looks_.fetch_sub(1, std::memory_order_release); }
    Look(const Look&) = delete;
    Look& operator=(const Look&) = delete;

   private:
    std::atomic<int>& looks_;
  };

  bool is_mine() const {
    return worker_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }
  [[noreturn]] void refuse(const char* running) const {
    throw std::runtime_error(std::string(object_) + ": " + running + " is running on it" +
                             (is_mine() ? "" : " in another thread"));
  }

  const char* const object_;
  std::atomic<const char*> running_{nullptr};
  std::atomic<std::thread::id> worker_{};
  std::atomic<int> looks_{0};
  bool lent_ = false, nested_ = false;  // of the thread that has it
};

// A use for the time of a scope: begin(what...) at its beginning, end() at its end.
template <class Guard, auto begin, auto end>
class Use {
 public:
  template <class... What>
  explicit Use(Guard& guard, What... what) : guard_(guard) {
    (guard_.*begin)(what...);
  }
  ~Use() { (guard_.*end)(); }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  Guard& guard_;
};
using Reading = Use<UseGuard, &UseGuard::begin_read, &UseGuard::end_read>;
using Writing = Use<UseGuard, &UseGuard::begin_write, &UseGuard::end_write>;
using Working = Use<WorkGuard, &WorkGuard::begin, &WorkGuard::end>;
// What a run has disowned, lent to the calling thread.
class Lent {
 public:
  Lent(WorkGuard& worker, UseGuard& used) : worker_(worker), used_(used) {
    worker_.lend();
    used_.lend();
  }
  ~Lent() {
    used_.disown();
    worker_.take_back();
  }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;

 private:
  WorkGuard& worker_;
  UseGuard& used_;
};

}  // namespace fastrelu::python
