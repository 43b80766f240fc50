// SPDX-License-Identifier: BSD-3-Clause
// Dynamic programming over the knots, from left to right. What is kept for the k-th knot at a place
// is the least sum of squares of all points before it as a function of the value there: the lower
// envelope of parabolas, one for each way to get there that is best for some value. Ways that could
// not get below a known solution, even if the pieces to come need not join, are dropped.
#include "hinge_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "hinge_chain.h"
#include "hinge_refine.h"

namespace fastrelu {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// More of each finds little more, in more time.
constexpr std::size_t kPlaces = 128, kReach = 6, kEnds = 12, kNearEnds = 6, kRefined = 10,
                      kInserted = 3, kWays = 64, kLowest = 8, kExchanged = 32;
constexpr int kRounds = 30;

struct Place {
  double at;
  std::size_t count;  // points up to there
};

bool operator<(const Place& a, const Place& b) { return a.at < b.at; }

// At every point, and between them if they are few; of many points at some.
std::vector<Place> places_everywhere(const HingePoints& points, std::size_t n) {
  const std::vector<double>& x = points.x();
  const std::size_t inner = x.size() - 2, most = std::max(kPlaces, 2 * n);
  std::vector<Place> places;
  for (std::size_t g = 0; g < std::min(inner, most); ++g) {
    const std::size_t i = inner <= most ? 1 + g : 1 + g * (inner - 1) / (most - 1);
    places.push_back({x[i], i + 1});
    if (i + 2 == x.size()) break;
    const std::size_t parts = 2 * inner > most ? 1 : 2;
    for (std::size_t part = 1; part < parts; ++part) {
      const double at =
          x[i] + static_cast<double>(part) / static_cast<double>(parts) * (x[i + 1] - x[i]);
      if (at > x[i]) places.push_back({at, i + 1});
    }
  }
  return places;
}

// The knots themselves, and around each some places every `step` half gaps between points.
std::vector<Place> places_around(const HingePoints& points, const std::vector<double>& knots,
                                 std::size_t step) {
  const std::vector<double>& x = points.x();
  const std::size_t last = 2 * (x.size() - 2), n = knots.size();
  const std::size_t reach = std::min(std::max(kPlaces / (2 * n), std::size_t{2}), kReach) * step;
  std::vector<Place> places;
  for (const double knot : knots) {
    const std::size_t count = points.up_to(knot), at = 2 * (count - 1) + (knot > x[count - 1]);
    places.push_back({knot, count});
    for (std::size_t h = at > reach + 2 ? at - reach : 2; h <= std::min(at + reach, last);
         h += step) {
      const std::size_t i = h / 2;
      places.push_back({h % 2 == 0 ? x[i] : x[i] + 0.5 * (x[i + 1] - x[i]), i + 1});
    }
  }
  std::sort(places.begin(), places.end());
  const auto same = [](const Place& a, const Place& b) { return a.at == b.at; };
  places.erase(std::unique(places.begin(), places.end(), same), places.end());
  return places;
}

// A way to a knot: the parabola there, the place, and the way to the knot before.
struct Way {
  Parabola p;
  std::size_t place, parent;
};

// Whether q lies nowhere under p.
bool above(const Parabola& q, const Parabola& p) {
  const double gap = q.best - p.best;
  return q.weight >= p.weight &&
         (q.least - p.least) * (q.weight - p.weight) >= q.weight * p.weight * (gap * gap);
}

// Keeps the ways that are lowest somewhere between low and high, in the order of the values.
void keep_envelope(std::vector<Way>& ways, double low, double high) {
  std::vector<Way> kept;
  double v = low;
  std::size_t at = 0;
  double lowest = kInfinity;
  for (std::size_t i = 0; i < ways.size(); ++i) {
    const Parabola& p = ways[i].p;
    const double height = p.least + p.weight * (v - p.best) * (v - p.best);
    if (height < lowest) {
      lowest = height;
      at = i;
    }
  }
  std::vector<bool> seen(ways.size(), false);
  for (std::size_t turn = 0; turn < 4 * ways.size(); ++turn) {
    if (!seen[at]) kept.push_back(ways[at]);
    seen[at] = true;
    const Parabola& p = ways[at].p;
    const double height = p.least + p.weight * (v - p.best) * (v - p.best);
    double nearest = high - v;
    std::size_t next = at;
    for (std::size_t i = 0; i < ways.size(); ++i) {
      // Where the difference, above + tilt s + bend s^2 at v + s, turns negative.
      const Parabola& q = ways[i].p;
      const double bend = q.weight - p.weight;
      const double tilt = 2 * (q.weight * (v - q.best) - p.weight * (v - p.best));
      const double above = q.least + q.weight * (v - q.best) * (v - q.best) - height;
      const double square = tilt * tilt - 4 * bend * above;
      if (i == at || above < 0 || square <= 0) continue;
      const double under = std::sqrt(square) - tilt;
      if (under > 0 && 2 * above < nearest * under) {
        nearest = 2 * above / under;
        next = i;
      }
    }
    if (next == at) break;
    v += nearest;
    at = next;
  }
  ways = std::move(kept);
}

class Search {
 public:
  Search(const HingePoints& points, std::size_t n, std::vector<Place> places,
         const std::function<void()>& poll)
      : points_(points), n_(n), poll_(poll), places_(std::move(places)), m_(places_.size()) {
    for (std::size_t i = 0; i < m_; ++i) {
      heads_.push_back(points.run(0, places_[i].count));
      tails_.push_back(points.run(places_[i].count, points.size()));
      for (std::size_t j = 0; j < m_; ++j) {
        between_.push_back(n > 1 && j > i ? points.run(places_[i].count, places_[j].count) : Run{});
      }
    }
    find_bounds();
  }

  // Refined from the best cuts into pieces that need not join, and from even knots.
  Knots first() const {
    std::vector<std::size_t> cuts, even;
    for (std::size_t k = 0; k < n_; ++k) {
      even.push_back((2 * k + 1) * m_ / (2 * n_));
      std::size_t cut = k == 0 ? 0 : cuts.back() + 1;
      double least = kInfinity;
      for (std::size_t j = cut; j < m_; ++j) {
        const double rest = k == 0 ? heads_[j].rest : between(cuts.back(), j).rest;
        if (rest + bounds_[n_ - 1 - k][j] < least) {
          least = rest + bounds_[n_ - 1 - k][j];
          cut = j;
        }
      }
      cuts.push_back(cut);
    }
    Knots a = refine_hinges(points_, knots_at(cuts), 5, poll_);
    Knots b = refine_hinges(points_, knots_at(even), 5, poll_);
    return b.least < a.least ? b : a;
  }

  // The best choices of places, the best first, all as good as the places nearest to `known`.
  std::vector<std::vector<double>> best(const std::vector<double>& known, std::size_t most) {
    limit_ = solve_hinges(points_, knots_at(nearest(known))).least;
    limit_ += 0.01 * limit_ + 1e-28 * heads_.back().weight;
    for (std::size_t k = 0; k < n_; ++k) add_layer(k);
    std::vector<std::pair<double, std::size_t>> ends;
    for (std::size_t way = layers_.back(); way < ways_.size(); ++way) {
      const std::size_t i = ways_[way].place;
      ends.emplace_back(least_of(ways_[way].p, outermost(tails_[i], places_[i].at)), way);
    }
    std::sort(ends.begin(), ends.end());
    std::vector<std::vector<double>> found;
    for (std::size_t e = 0; e < std::min(ends.size(), most); ++e) {
      std::vector<double> knots(n_);
      std::size_t way = ends[e].second;
      for (std::size_t k = n_; k-- > 0; way = ways_[way].parent) {
        knots[k] = places_[ways_[way].place].at;
      }
      found.push_back(std::move(knots));
    }
    return found;
  }

 private:
  const Run& between(std::size_t i, std::size_t j) const { return between_[i * m_ + j]; }

  // bounds_[k][i]: what the points after place i cost at least, with k more knots there.
  void find_bounds() {
    bounds_.assign(n_, std::vector<double>(m_, kInfinity));
    for (std::size_t i = 0; i < m_; ++i) bounds_[0][i] = tails_[i].rest;
    for (std::size_t k = 1; k < n_; ++k) {
      poll_();
      for (std::size_t i = 0; i < m_; ++i) {
        for (std::size_t j = i + 1; j < m_; ++j) {
          bounds_[k][i] = std::min(bounds_[k][i], between(i, j).rest + bounds_[k - 1][j]);
        }
      }
    }
  }

  std::vector<double> knots_at(const std::vector<std::size_t>& chosen) const {
    std::vector<double> knots;
    for (const std::size_t i : chosen) knots.push_back(places_[i].at);
    return knots;
  }

  // Different places near the knots.
  std::vector<std::size_t> nearest(const std::vector<double>& knots) const {
    std::vector<std::size_t> chosen;
    for (std::size_t k = 0; k < n_; ++k) {
      std::size_t i = chosen.empty() ? 0 : chosen.back() + 1;
      while (i + (n_ - k) < m_ && places_[i + 1].at - knots[k] <= knots[k] - places_[i].at) ++i;
      chosen.push_back(i);
    }
    return chosen;
  }

  // The ways to knot k at each place.
  void add_layer(std::size_t k) {
    const std::size_t begin = k == 0 ? 0 : layers_.back(), end = ways_.size();
    layers_.push_back(end);
    for (std::size_t j = k; j + (n_ - k) <= m_; ++j) {
      poll_();
      const double allowed = limit_ - bounds_[n_ - 1 - k][j], to = places_[j].at;
      std::vector<Way> here;
      if (k == 0) {
        here.push_back({outermost(heads_[j], to), j, 0});
      } else {
        for (std::size_t way = begin; way < end && ways_[way].place < j;) {
          const std::size_t i = ways_[way].place;
          const Piece piece(between(i, j), places_[i].at, to);
          const double least = allowed - between(i, j).rest;
          for (; way < end && ways_[way].place == i; ++way) {
            if (ways_[way].p.least <= least) here.push_back({piece.pass(ways_[way].p), j, way});
          }
        }
      }
      keep(here, allowed);
      ways_.insert(ways_.end(), here.begin(), here.end());
    }
  }

  void keep(std::vector<Way>& ways, double allowed) const {
    const auto hopeless = [allowed](const Way& way) { return way.p.least > allowed; };
    ways.erase(std::remove_if(ways.begin(), ways.end(), hopeless), ways.end());
    if (ways.size() < 2) return;
    const auto lower = [](const Way& a, const Way& b) {
      return std::tie(a.p.least, a.parent) < std::tie(b.p.least, b.parent);
    };
    std::sort(ways.begin(), ways.end(), lower);
    // Most lie above one of the lowest: so the envelope is left with few.
    std::size_t few = 0;
    for (const Way& way : ways) {
      const auto lies_above = [&way](const Way& one) { return above(way.p, one.p); };
      const auto some = ways.begin() + static_cast<std::ptrdiff_t>(std::min(few, kLowest));
      if (std::none_of(ways.begin(), some, lies_above)) ways[few++] = way;
    }
    ways.resize(few);
    double low = kInfinity, high = -kInfinity;
    for (const Way& way : ways) {
      const double room = way.p.weight > 0 ? std::sqrt((allowed - way.p.least) / way.p.weight) : 8;
      low = std::min(low, std::max(way.p.best - room, -8.0));
      high = std::max(high, std::min(way.p.best + room, 8.0));
    }
    keep_envelope(ways, low, high);
    std::sort(ways.begin(), ways.end(), lower);
    ways.resize(std::min(ways.size(), kWays));
  }

  const HingePoints& points_;
  std::size_t n_;
  const std::function<void()>& poll_;
  std::vector<Place> places_;
  std::size_t m_;
  std::vector<Run> heads_, tails_, between_;
  std::vector<std::vector<double>> bounds_;
  double limit_ = kInfinity;
  std::vector<Way> ways_;
  std::vector<std::size_t> layers_;  // where each layer's ways begin
};

}  // namespace

// Refines the starts, at first quickly, then the most promising of them.
void improve(const HingePoints& points, const std::vector<std::vector<double>>& starts, Knots& best,
             const std::function<void()>& poll) {
  std::vector<std::pair<double, std::size_t>> order;
  std::vector<Knots> quick;
  for (std::size_t s = 0; s < starts.size(); ++s) {
    quick.push_back(refine_hinges(points, starts[s], 0, poll));
    order.emplace_back(quick[s].least, s);
  }
  std::sort(order.begin(), order.end());
  std::size_t refined = 0;
  double last = -1;
  for (const auto& [least, s] : order) {
    if (least <= last * (1 + 1e-9)) continue;  // the same end once more
    last = least;
    Knots end = refine_hinges(points, std::move(quick[s].at), kRounds, poll);
    if (end.least < best.least) best = std::move(end);
    if (++refined == kRefined) break;
  }
}

// From the knots with one of them put into a gap nearby: a joint step crosses no kink.
std::vector<std::vector<double>> kicks(const HingePoints& points,
                                       const std::vector<double>& knots) {
  const std::vector<double>& x = points.x();
  std::vector<std::vector<double>> starts;
  for (std::size_t k = 0; k < knots.size(); ++k) {
    const std::size_t count = points.up_to(knots[k]);
    const double low = k == 0 ? x[1] : knots[k - 1];
    const double high = k + 1 == knots.size() ? x[x.size() - 2] : knots[k + 1];
    for (std::size_t i = count - 1; i <= count + 3; ++i) {
      if (i < 3 || i >= x.size()) continue;
      const double middle = x[i - 2] + 0.5 * (x[i - 1] - x[i - 2]);
      if (!(middle > low && middle < high)) continue;
      starts.push_back(knots);
      starts.back()[k] = middle;
    }
  }
  return starts;
}

// With one knot taken away and put in again where that helps most: also between two places.
std::vector<std::vector<double>> exchanges(const HingePoints& points,
                                           const std::vector<double>& knots,
                                           const std::function<void()>& poll) {
  const std::size_t stride = std::max(points.size() / 1024, std::size_t{1});
  std::vector<std::vector<double>> starts;
  for (std::size_t k = 0; k < knots.size() && knots.size() > 1; ++k) {
    std::vector<double> fewer = knots;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(k));
    fewer = refine_hinges(points, std::move(fewer), 1, poll).at;
    std::vector<Knots> more = insert_hinge(points, fewer, stride, poll);
    more.resize(std::min(more.size(), kInserted));
    for (Knots& start : more) starts.push_back(std::move(start.at));
  }
  return starts;
}

Knots search_hinges(const HingePoints& points, std::size_t n, const std::function<void()>& poll) {
  // What is left of y without any function; below that times 1e-28 all is rounding.
  const double nothing = 1e-28 * points.run(0, points.size()).rest;
  Search everywhere(points, n, places_everywhere(points, n), poll);
  Knots best = everywhere.first();
  if (best.least <= nothing) return best;
  improve(points, everywhere.best(best.at, kEnds), best, poll);
  // In half gaps, the distance of the places so far.
  std::size_t step = std::max(2 * points.size() / kPlaces, std::size_t{2});
  double before = kInfinity;
  while (step > 1 && best.least > nothing) {
    step = (step + 3) / 4;
    for (int turn = 0; turn < 3; ++turn) {
      before = best.least;
      Search around(points, n, places_around(points, best.at, step), poll);
      improve(points, around.best(best.at, kNearEnds), best, poll);
      if (best.least >= before * (1 - 1e-9)) break;
    }
  }
  for (int turn = 0; turn < 5 && best.least > nothing; ++turn) {
    before = best.least;
    improve(points, kicks(points, best.at), best, poll);
    if (points.size() > kPlaces && n <= kExchanged)
      improve(points, exchanges(points, best.at, poll), best, poll);
    if (best.least >= before * (1 - 1e-9)) break;
  }
  return best;
}

}  // namespace fastrelu
