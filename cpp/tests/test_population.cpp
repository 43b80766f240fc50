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

}  // namespace fastrelu::tests
