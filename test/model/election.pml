/*
 * Election, persistence of votes, replacement and change of configuration of a ring, for spin: who may be elected
 * when nodes crash and come back with what their disks hold, are replaced by new generations, hear of configurations
 * late, and messages come in any order or never. After p2p-core/src/ring/{election,configuration}.ts, without what
 * is only there for progress: time, pre-votes, sticking to a leader, standing back.
 *
 * What is asserted:
 *  - the lease: a term has at most one holder, always;
 *  - votes: at most one is elected a term, as long as nobody was replaced, and after that in all terms up to the
 *    one that the first replacement was decided under. Above it a new generation cannot know what the old one, which
 *    may have voted until it was proven gone, had promised: there the lease alone decides, and so it is meant.
 *
 * Two shapes: three slots whose machines crash and are replaced; with GROWS, a ring that grows from three to five
 * voters while it elects. NO_... each take a rule away, and must be found.
 */
#ifndef TERMS
#define TERMS 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef REPLACED
#define REPLACED 2
#endif

#ifdef GROWS
#define SLOTS 5
#define newest 3
#else
#define SLOTS 3
#endif

#define follower 0
#define candidate 1
#define leader 2

/* A machine, as slot and generation: 1 and up. Also its bit in sets of machines. */
#define self(s) ((s) + 1 + (generation[s] - 1) * SLOTS)
#define bitOf(s) (1 << (self(s) - 1))

#ifdef GROWS
#define generationAt(s, v) 1
#define isVoter(s, v) ((s) < 2 + (v))
#define majority(v) ((2 + (v)) / 2 + 1)
#else
#define generationAt(s, v) (1 + (swappedAt[s] != 0 && (v) >= swappedAt[s]))
#define isVoter(s, v) (generationAt(s, v) == generation[s])
#define majority(v) (SLOTS / 2 + 1)
#endif

#ifdef NO_MAJORITY
#define enough(v) 1
#else
#define enough(v) majority(v)
#endif

#define one(set, n) (((set) >> (n)) & 1)
#define sizeOf(set) (one(set, 0) + one(set, 1) + one(set, 2) + one(set, 3) + one(set, 4) + one(set, 5))

/* A slot's machine: what it knows, and what its disk holds. */
byte generation[SLOTS] = 1;
byte version[SLOTS] = 1;
byte term[SLOTS];
byte votedFor[SLOTS];
byte role[SLOTS];
byte grants[SLOTS];
byte diskTerm[SLOTS];
byte diskVote[SLOTS];
bit persisting[SLOTS];
/* By candidate: votes for its present candidacy that are on their way to it. */
byte coming[SLOTS];

/* The control API: the record of the ring, and the lease. */
byte record = 1;
byte swappedAt[SLOTS];
byte admittedAt[SLOTS];
bit doomed[SLOTS];
byte leaseTerm;
byte holder;

/* What happened, for the assertions. */
byte elected[TERMS + 1];
byte holders[TERMS + 1];
byte firstReplacedUnder = 255;
byte crashes;
byte replaced;

/* The term above which a machine votes, as the configuration that it has adopted says. */
#ifdef NO_ADMISSION
#define admitted(s) 0
#else
#ifdef GROWS
byte admittedIn[newest + 1];
#define admitted(s) admittedIn[version[s]]
#else
#define admitted(s) ((generation[s] == 2) * admittedAt[s])
#endif
#endif

inline forget(s) {
  role[s] = follower;
  grants[s] = 0;
  coming[s] = 0;
}

inline countVotes(s) {
  if
  :: role[s] == candidate && sizeOf(grants[s]) >= enough(version[s]) ->
    role[s] = leader;
    assert(elected[term[s]] == 0 || elected[term[s]] == self(s) || term[s] > firstReplacedUnder);
    elected[term[s]] = self(s)
  :: else
  fi
}

/* A write of a vote ends, and what waited for it is said. */
inline persist(s) {
  persisting[s] ->
  persisting[s] = 0;
  diskTerm[s] = term[s];
  diskVote[s] = votedFor[s];
  if
  :: votedFor[s] == self(s) ->
    grants[s] = grants[s] | bitOf(s);
    countVotes(s)
  :: else -> answer(s, (votedFor[s] - 1) % SLOTS)
  fi
}

/* A vote goes on its way, if the candidacy that it is for is still one. */
inline answer(s, to) {
  if
  :: self(to) == votedFor[s] && role[to] == candidate && term[to] == term[s] -> coming[to] = coming[to] | bitOf(s)
  :: else
  fi
}

/* Stands: its own vote is the first that it needs on disk. Votes are asked for once it is. */
inline stand(s) {
  isVoter(s, version[s]) && role[s] != leader && !persisting[s] && term[s] < TERMS && term[s] + 1 > admitted(s) ->
  forget(s);
  term[s] = term[s] + 1;
  votedFor[s] = self(s);
  role[s] = candidate;
  persisting[s] = 1;
#ifdef GROWS
  persist(s)
#endif
}

#ifdef NO_ONCE
#define hasNoVote(s) true
#else
#define hasNoVote(s) (votedFor[s] == 0)
#endif
#ifdef NO_VERSION
#define isRecent(c, s) true
#else
#define isRecent(c, s) (version[c] >= version[s])
#endif

/* The request of candidate c reaches s, which votes for it. */
inline vote(c, s) {
  (role[c] == candidate && !persisting[c] && !persisting[s] &&
    isVoter(s, version[s]) && isVoter(c, version[s]) && isRecent(c, s) && term[c] > admitted(s) &&
    (term[c] > term[s] || (term[c] == term[s] && hasNoVote(s)))) ->
  forget(s);
  term[s] = term[c];
  votedFor[s] = self(c);
  persisting[s] = 1;
#ifdef NO_PERSISTENCE
  answer(s, c)
#endif
#ifdef GROWS
  persist(s)
#endif
}

/* A vote of s reaches candidate c, which counts those of the voters that it knows. */
inline receive(c, s) {
  one(coming[c], s) && generationAt(s, version[c]) == 1 && isVoter(c, version[c]) ->
  coming[c] = coming[c] & ~(1 << s);
  grants[c] = grants[c] | (1 << s);
  countVotes(c)
}

inline receiveNew(c, s) {
  one(coming[c], s + SLOTS) && generationAt(s, version[c]) == 2 && isVoter(c, version[c]) ->
  coming[c] = coming[c] & ~(1 << (s + SLOTS));
  grants[c] = grants[c] | (1 << (s + SLOTS));
  countVotes(c)
}

/* A higher term is heard of, which is not persisted. */
inline hear(s, from) {
  term[from] > term[s] && !persisting[s] ->
  forget(s);
  term[s] = term[from];
  votedFor[s] = 0
}

/* Goes down and comes back, with what its disk held. */
inline crash(s) {
  crashes < CRASHES ->
  crashes = crashes + 1;
  forget(s);
  persisting[s] = 0;
  if
  :: diskTerm[s] >= admitted(s) ->
    term[s] = diskTerm[s];
    votedFor[s] = diskVote[s]
  :: else ->
    term[s] = admitted(s);
    votedFor[s] = 0
  fi
}

/* A newer configuration is heard of; whoever is no voter in it neither leads nor stands. */
inline adopt(s) {
  version[s] < record ->
  version[s] = version[s] + 1;
  if
  :: !isVoter(s, version[s]) -> forget(s)
  :: else
  fi;
  if
  :: admitted(s) > term[s] ->
    forget(s);
    persisting[s] = 0;
    term[s] = admitted(s);
    votedFor[s] = 0
  :: else
  fi
}

/* The control API gives the lease to whoever asks as elected, once a term. */
inline lease(s) {
#ifdef NO_LEASE
  role[s] == leader && !doomed[s] && term[s] >= leaseTerm && holder != self(s) ->
#else
  role[s] == leader && !doomed[s] && term[s] > leaseTerm ->
#endif
  leaseTerm = term[s];
  holder = self(s);
  assert(holders[leaseTerm] == 0 || holders[leaseTerm] == holder);
  holders[leaseTerm] = holder
}

/* The holder of the lease has a slot's machine replaced; it goes on until it is stopped. */
inline replace(s, by) {
  (replaced < REPLACED && role[by] == leader && holder == self(by) && term[by] == leaseTerm && !doomed[by] &&
    generation[s] == 1 && !doomed[s]) ->
  replaced = replaced + 1;
  doomed[s] = 1;
  record = record + 1;
  swappedAt[s] = record;
  admittedAt[s] = leaseTerm;
  if
  :: replaced == 1 -> firstReplacedUnder = leaseTerm
  :: else
  fi
}

/* The old machine is proven gone, and the new one boots, with nothing on its disk and the ring as it stands. */
inline boot(s) {
  doomed[s] ->
  doomed[s] = 0;
  forget(s);
  persisting[s] = 0;
  generation[s] = 2;
  version[s] = record;
  diskTerm[s] = 0;
  diskVote[s] = 0;
  votedFor[s] = 0;
  term[s] = admitted(s)
}

#ifdef GROWS
/* What each has lately reported: its version of the ring, and its term. */
byte toldVersion[SLOTS] = 1;
byte toldTerm[SLOTS];

/* Reports at once, with what it is bound by, or never: later it could only tell of higher terms. */
inline adoptAndReport(s) {
  adopt(s);
  toldVersion[s] = version[s];
  toldTerm[s] = term[s]
}

#define told(s) (toldVersion[s] >= record)
#define adopters(v) (told(0) + told(1) + told(2) + ((v) >= 2 && told(3)) + ((v) >= 3 && told(4)))
#ifdef NO_GATE
#define isAdopted true
#else
#define isAdopted (adopters(record) >= majority(record) && adopters(record + 1) >= majority(record + 1))
#endif

inline atLeast(t) {
  if
  :: admittedIn[record] < t -> admittedIn[record] = t
  :: else
  fi
}

/* One voter more, once most of those before and after have reported the ring as it is; all vote above what is known. */
inline grow() {
  record < newest && isAdopted ->
  record = record + 1;
#ifndef NO_ADMISSION
  atLeast(admittedIn[record - 1]);
  atLeast(leaseTerm);
  atLeast(toldTerm[0]);
  atLeast(toldTerm[1]);
  atLeast(toldTerm[2]);
  atLeast(toldTerm[3]);
  atLeast(toldTerm[4])
#endif
}
#endif

#ifdef GROWS
/*
 * Nobody goes down here, so a vote is on disk as soon as it is given; terms come with requests only, and the lease
 * does not tell of any. One of the old slots stands against the newest, and one against another: the rest are alike.
 */
#define ALONE(s) \
  :: d_step { adopt(s) } \
  :: d_step { adoptAndReport(s) }

#define STANDS(s, a, b, c, d) \
  :: d_step { stand(s) } \
  ASKS(s, a) ASKS(s, b) ASKS(s, c) ASKS(s, d)

#define ASKS(s, o) \
  :: d_step { vote(s, o) } \
  :: d_step { receive(s, o) }

init {
  do
  ALONE(0) ALONE(1) ALONE(2) ALONE(3) ALONE(4)
  STANDS(0, 1, 2, 3, 4)
#ifdef OLD_RIVAL
  STANDS(1, 0, 2, 3, 4)
#else
  STANDS(4, 0, 1, 2, 3)
#endif
  :: d_step { grow() }
  od
}
#else
#define ALONE(s) \
  :: d_step { stand(s) } \
  :: d_step { persist(s) } \
  :: d_step { adopt(s) } \
  :: d_step { lease(s) } \
  :: d_step { crash(s) } \
  :: d_step { boot(s) }

#define TOGETHER(s, o) \
  :: d_step { vote(s, o) } \
  :: d_step { receive(s, o) } \
  :: d_step { receiveNew(s, o) } \
  :: d_step { hear(s, o) } \
  :: d_step { replace(s, o) }

init {
  do
  ALONE(0) ALONE(1) ALONE(2)
  TOGETHER(0, 1) TOGETHER(0, 2) TOGETHER(1, 0) TOGETHER(1, 2) TOGETHER(2, 0) TOGETHER(2, 1)
  od
}
#endif
