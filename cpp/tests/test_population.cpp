// SPDX-License-Identifier: BSD-3-Clause
// Populations: every member ends in the bits of its own Trainer, side by side or alone.
#include <numeric>

#include "fixtures.h"
#include "population.h"

namespace fastrelu::tests {
namespace {

// A member's parts, some widths apart.
template <class T>
struct Made {
  std::shared_ptr<Network<T>> net;
  std::unique_ptr<Trainer<T>> trainer;
  std::vector<Index> rows;
  std::size_t epochs;
};

template <class T>
Made<T> make_member(std::size_t i, const TrainerOptions& options, std::size_t n) {
  Made<T> made;
  TrainerOptions own = options;
  own.seed = i % 3;
  made.net = make_network<T>({5, 4 + i % 5, 3 + i % 4, 3}, Activation::relu);
  made.net->initialize(Init::he_uniform, i);
  made.trainer = std::make_unique<Trainer<T>>(made.net, own);
  made.epochs = 1 + i % 3;
  if (i % 2 == 1) {
    made.rows.resize(n - i);
    std::iota(made.rows.begin(), made.rows.end(), static_cast<Index>(i / 2));
  }
  return made;
}

template <class T>
Subset subset_of(const Made<T>& made) {
  if (made.rows.empty()) return {};
  return {made.rows.data(), made.rows.size()};
}

const PopulationHooks kNoHooks{nullptr, nullptr, [](void*, std::size_t, const EpochNumbers&) {},
                               nullptr, [](void*, std::size_t) {}};

}  // namespace

TEST(members_of_a_population_end_as_trainers_alone) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    constexpr std::size_t kRows = 40, kMembers = 20;
    const Table<T> table(kRows, 5, 3, true);
    for (const OptimizerCase& optimizer : optimizers()) {
      const Context what(optimizer.name);
      const TrainerOptions options =
          options_for(loss_case(LossKind::squared_error), optimizer.spec, 3, 8);
      const DataSet<T> data = table.data(options.loss.kind);
      equal_everywhere([&] {
        std::vector<Made<T>> made;
        std::vector<PopulationMember<T>> members;
        for (std::size_t i = 0; i < kMembers; ++i)
          made.push_back(make_member<T>(i, options, kRows));
        for (std::size_t i = 0; i < kMembers; ++i) {
          PopulationMember<T> m;
          m.number = i;
          m.trainer = made[i].trainer.get();
          m.data = &data;
          m.subset = subset_of(made[i]);
          m.epochs = made[i].epochs;
          m.learning_rate = optimizer.learning_rate;
          members.push_back(m);
        }
        std::vector<std::unique_ptr<PopulationWork>> work;
        add_population_work(members, work);
        CHECK(run_population(work, kMembers, kNoHooks, kNoPoll));
        std::vector<double> found;
        for (std::size_t i = 0; i < kMembers; ++i) {
          Made<T> alone = make_member<T>(i, options, kRows);
          const std::vector<double> rates(kRows, optimizer.learning_rate);
          for (std::size_t e = 0; e < alone.epochs; ++e) {
            CHECK(alone.trainer->run_epoch(data, Sampling::shuffle, rates.data(), kNoPoll, {},
                                           subset_of(alone)));
          }
          CHECK(same_bits(parameters_of(*made[i].net), parameters_of(*alone.net)));
          CHECK(made[i].trainer->epoch_loss() == alone.trainer->epoch_loss());
          found.push_back(made[i].trainer->epoch_loss());
        }
        return found;
      });
    }
  });
}

namespace {

// A generator whose words are far from random: the shuffles differ, which is all that counts.
std::uint32_t next_word(void* state) {
  auto& word = *static_cast<std::uint32_t*>(state);
  word = word * 1664525u + 1013904223u;
  return word >> 3;
}

// The epochs of member i over the last rows of the data.
std::unique_ptr<GivenEpochs> given_epochs(std::size_t i, std::size_t n, std::uint32_t* word) {
  std::vector<Index> rows(n - i);
  std::iota(rows.begin(), rows.end(), static_cast<Index>(i / 2));
  const double penalty = i % 3 == 0 ? 0.0 : 0.1 * static_cast<double>(i);
  auto made = std::make_unique<GivenEpochs>(rows.data(), rows.size(), 8, penalty, 1.0,
                                            RandomWords{word, next_word});
  made->watch = {0, 1e30, i % 4 == 1 ? std::uint64_t{1} : std::uint64_t{99}, 0};
  return made;
}

using Numbers = std::vector<std::vector<EpochNumbers>>;  // of each member's epochs

void take_numbers(void* context, std::size_t member, const EpochNumbers& numbers) {
  (*static_cast<Numbers*>(context))[member].push_back(numbers);
}

// Trains a member alone, by run_ordered, and returns the sums of its epochs.
template <class T>
std::vector<EpochNumbers> train_alone(const Made<T>& made, const DataSet<T>& data,
                                      GivenEpochs& epochs, std::size_t most, double rate) {
  std::vector<EpochNumbers> numbers;
  const std::vector<double> rates(data.x.rows, rate);
  for (bool ends = false; !ends && numbers.size() < most;) {
    Totals totals;
    CHECK(made.trainer->run_ordered(data, epochs.next(), rates.data(), kNoPoll, &totals));
    ends = epochs.ends_with(totals.loss, totals.penalty, {});
    numbers.push_back({totals.loss, rate, 0, totals.penalty});
  }
  return numbers;
}

// Trains all members in one run; they are the trainers' of `made`.
template <class T>
Numbers train_together(std::vector<Made<T>>& made, const DataSet<T>& data, std::size_t epochs,
                       double rate) {
  std::vector<std::uint32_t> words(made.size(), 5);
  std::vector<std::unique_ptr<GivenEpochs>> given;
  std::vector<PopulationMember<T>> members;
  for (std::size_t i = 0; i < made.size(); ++i) {
    given.push_back(given_epochs(i, data.x.rows, &words[i]));
    PopulationMember<T> m;
    m.number = i;
    m.trainer = made[i].trainer.get();
    m.data = &data;
    m.given = given[i].get();
    m.epochs = epochs;
    m.learning_rate = rate;
    members.push_back(m);
  }
  Numbers numbers(made.size());
  PopulationHooks hooks = kNoHooks;
  hooks.context = &numbers;
  hooks.record = take_numbers;
  std::vector<std::unique_ptr<PopulationWork>> work;
  add_population_work(members, work);
  CHECK(run_population(work, made.size(), hooks, kNoPoll));
  return numbers;
}

}  // namespace

TEST(members_with_given_epochs_end_as_run_ordered_does) {
  for_each_dtype([](auto zero) {
    using T = decltype(zero);
    constexpr std::size_t kRows = 41, kMembers = 19, kEpochs = 4;
    for (const OptimizerCase& optimizer : optimizers()) {
      const Context what(optimizer.name);
      OptimizerSpec spec = optimizer.spec;
      spec.weight_decay = 0;  // the penalty takes its place
      const TrainerOptions options = options_for(loss_case(LossKind::cross_entropy), spec, 3, 8);
      const Table<T> table(kRows, 5, 3, optimizer.spec.momentum > 0);
      const DataSet<T> data = table.data(options.loss.kind);
      equal_everywhere([&] {
        std::vector<Made<T>> made;
        for (std::size_t i = 0; i < kMembers; ++i) {
          made.push_back(make_member<T>(i, options, kRows));
        }
        const Numbers numbers = train_together(made, data, kEpochs, optimizer.learning_rate);
        std::vector<double> found;
        for (std::size_t i = 0; i < kMembers; ++i) {
          std::uint32_t word = 5;
          const Made<T> alone = make_member<T>(i, options, kRows);
          const auto epochs = given_epochs(i, kRows, &word);
          const auto expected = train_alone(alone, data, *epochs, kEpochs, optimizer.learning_rate);
          CHECK(numbers[i].size() == expected.size());
          for (std::size_t e = 0; e < expected.size(); ++e) {
            CHECK(numbers[i][e].loss == expected[e].loss &&
                  numbers[i][e].penalty == expected[e].penalty);
            found.push_back(expected[e].penalty);
          }
          CHECK(same_bits(parameters_of(*made[i].net), parameters_of(*alone.net)));
        }
        return found;
      });
    }
  });
}

}  // namespace fastrelu::tests
