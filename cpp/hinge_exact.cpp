// SPDX-License-Identifier: BSD-3-Clause
#include "hinge_exact.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "hinge_chain.h"
#include "hinge_joins.h"

namespace fastrelu {
namespace {

constexpr std::size_t kFewPoints = 12, kFewHinges = 3, kMorePoints = 256;

// Depth first from left to right; what stands is in `chosen_`.
class Enumeration {
 public:
  Enumeration(const HingePoints& points, std::size_t n, Knots known,
              const std::function<void()>& poll)
      : points_(points), n_(n), poll_(poll), best_(std::move(known)) {
    find_bounds();
  }

  Knots run() {
    // Below that all is rounding.
    if (best_.least > 1e-28 * points_.run(0, points_.size()).rest) {
      extend({0, false, 0, {}}, 0.0, n_);
    }
    fill_up();
    return std::move(best_);
  }

 private:
  // What is to the left of the next choice: the points from `begin` on belong to the piece under
  // way, behind a knot at a point, with what all before it want there, or behind a gap or nothing.
  struct Left {
    std::size_t begin;
    bool from_knot;
    double knot;
    Parabola wanted;
  };

  // least_[k][i]: the points from i on, in at most k + 1 pieces that need not join.
  void find_bounds() {
    const std::size_t m = points_.size();
    least_.assign(n_ + 1, std::vector<double>(m + 1, 0.0));
    for (std::size_t i = 0; i < m; ++i) least_[0][i] = points_.run(i, m).rest;
    for (std::size_t k = 1; k <= n_; ++k) {
      poll_();
      for (std::size_t i = 0; i < m; ++i) {
        double least = least_[0][i];
        for (std::size_t j = i + 1; j < m; ++j) {
          least = std::min(least, points_.run(i, j).rest + least_[k - 1][j]);
        }
        least_[k][i] = least;
      }
    }
  }

  double piece_least(const Left& piece, std::size_t end) const {
    const Run run = points_.run(piece.begin, end);
    return piece.from_knot ? least_of(piece.wanted, outermost(run, piece.knot)) : run.rest;
  }

  // All ways to go on from a piece; `done`: what the joined pieces before it cost; `left`: knots.
  void extend(const Left& piece, double done, std::size_t left) {
    poll_();
    const std::size_t m = points_.size();
    if (done + piece_least(piece, m) < limit()) try_chosen();
    if (left == 0) return;
    const std::vector<double>& x = points_.x();
    for (std::size_t i = std::max(piece.begin, std::size_t{1}); i + 1 < m; ++i) {
      // At point i, which counts to the left.
      const Run run = points_.run(piece.begin, i + 1);
      const Parabola here =
          piece.from_knot ? Piece(run, piece.knot, x[i]).pass(piece.wanted) : outermost(run, x[i]);
      if (done + here.least + least_[left - 1][i + 1] < limit()) {
        chosen_.push_back({i, HingePlace::at_point});
        extend({i + 1, true, x[i], here}, done, left - 1);
        chosen_.pop_back();
      }
      // A piece over more points costs no less.
      if (done + (piece.from_knot ? piece.wanted.least : run.rest) >= limit()) break;
    }
    for (std::size_t c = piece.begin + (piece.from_knot ? 0 : 1); c < m; ++c) {
      const double cost = done + piece_least(piece, c);
      if (cost >= limit()) break;
      for (std::size_t knots = 1; knots <= std::min(left, std::size_t{2}); ++knots) {
        if (cost + least_[left - knots][c] >= limit()) continue;
        chosen_.push_back({c, knots == 1 ? HingePlace::in_gap : HingePlace::two_in_gap});
        extend({c, false, 0, {}}, cost, left - knots);
        chosen_.pop_back();
      }
    }
  }

  double limit() const { return best_.least * (1 - 1e-12); }

  void try_chosen() {
    if (chosen_.empty()) return;
    std::vector<double> knots = joined_knots(points_, chosen_);
    if (knots.empty()) return;
    const double least = solve_hinges(points_, knots).least;
    if (least < limit()) best_ = {std::move(knots), least};
  }

  // Where fewer knots do, the others go into the widest spaces.
  void fill_up() {
    std::vector<double>& at = best_.at;
    while (at.size() < n_) {
      std::vector<double> ends = at;
      ends.insert(ends.begin(), points_.x()[1]);
      ends.push_back(points_.x()[points_.size() - 2]);
      std::size_t widest = 0;
      for (std::size_t k = 1; k + 1 < ends.size(); ++k) {
        if (ends[k + 1] - ends[k] > ends[widest + 1] - ends[widest]) widest = k;
      }
      at.insert(at.begin() + static_cast<std::ptrdiff_t>(widest),
                0.5 * ends[widest] + 0.5 * ends[widest + 1]);
    }
  }

  const HingePoints& points_;
  const std::size_t n_;
  const std::function<void()>& poll_;
  Knots best_;
  std::vector<std::vector<double>> least_;
  std::vector<HingePlace> chosen_;
};

}  // namespace

bool is_few(std::size_t n_points, std::size_t hinges) {
  return n_points <= kFewPoints || (hinges <= kFewHinges && n_points <= kMorePoints);
}

Knots exact_hinges(const HingePoints& points, std::size_t n, Knots known,
                   const std::function<void()>& poll) {
  return Enumeration(points, n, std::move(known), poll).run();
}

}  // namespace fastrelu
