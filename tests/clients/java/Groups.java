import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.UnreleasedInstanceIdException;

/** Groups of several members: every assignor of both protocols, cooperative rebalances, and members that are static. */
record Groups(Cluster cluster) {
  private static final int PARTITIONS = 6;
  private static final int RECORDS = 300;

  void all(Scenarios scenarios) {
    for (var assignor : List.of(RangeAssignor.class, RoundRobinAssignor.class, StickyAssignor.class, CooperativeStickyAssignor.class)) {
      scenarios.run("classic: three share with " + assignor.getSimpleName(),
          () -> shared("classic", Map.of("partition.assignment.strategy", assignor.getName())));
    }
    for (var assignor : List.of("uniform", "range")) {
      scenarios.run("consumer: three share with " + assignor, () -> shared("consumer", Map.of("group.remote.assignor", assignor)));
    }
    var cooperative = Map.<String, Object>of("partition.assignment.strategy", CooperativeStickyAssignor.class.getName());
    scenarios.run("classic: a cooperative rebalance moves what must move", () -> incremental("classic", cooperative));
    scenarios.run("consumer: a rebalance moves what must move", () -> incremental("consumer", Map.of()));
    for (var protocol : List.of("classic", "consumer")) {
      scenarios.run(protocol + ": a static member comes back", () -> comesBack(protocol));
    }
    scenarios.run("classic: a second static member of the name fences the first", this::fences);
    scenarios.run("consumer: a static member's name is not given twice", this::unreleased);
  }

  /** A member of a group, and what its partitions did. */
  private final class Member implements ConsumerRebalanceListener, AutoCloseable {
    final KafkaConsumer<String, String> consumer;
    final Set<TopicPartition> revoked = new HashSet<>();
    final List<String> values = new ArrayList<>();
    int assignments;

    Member(String topic, Map<String, Object> configs) {
      consumer = cluster.consumer(configs);
      consumer.subscribe(List.of(topic), this);
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
      assignments++;
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
      revoked.addAll(partitions);
    }

    void poll() {
      consumer.poll(java.time.Duration.ofMillis(20)).forEach(record -> values.add(record.value()));
    }

    int owned() {
      return consumer.assignment().size();
    }

    @Override
    public void close() {
      consumer.commitSync();
      consumer.close();
    }
  }

  /** Polls all until every partition is owned, and each member owns as many as the others. */
  private static void settle(Member... members) throws InterruptedException {
    Scenarios.await(members.length + " members share the partitions", () -> {
      var owned = new HashSet<TopicPartition>();
      boolean fair = true;
      for (var member : members) {
        member.poll();
        owned.addAll(member.consumer.assignment());
        fair &= member.owned() == PARTITIONS / members.length;
      }
      return fair && owned.size() == PARTITIONS;
    });
  }

  private static void await(int records, Member... members) throws InterruptedException {
    var values = new TreeMap<String, Integer>();
    Scenarios.await(records + " records", () -> {
      values.clear();
      for (var member : members) {
        member.poll();
        member.values.forEach(value -> values.merge(value, 1, Integer::sum));
      }
      return values.size() >= records;
    });
    Scenarios.equal(Set.of(1), new HashSet<>(values.values()), "how often a record came");
  }

  private void shared(String protocol, Map<String, Object> more) throws Exception {
    var topic = cluster.topic("shared", PARTITIONS);
    var configs = Consumers.group(protocol, cluster.name("group"));
    configs.putAll(more);
    try (var first = new Member(topic, configs);
        var second = new Member(topic, configs)) {
      try (var third = new Member(topic, configs)) {
        settle(first, second, third);
        cluster.fill(topic, RECORDS);
        await(RECORDS, first, second, third);
      }
      settle(first, second);
    }
  }

  private void incremental(String protocol, Map<String, Object> more) throws Exception {
    var topic = cluster.topic("incremental", PARTITIONS);
    var configs = Consumers.group(protocol, cluster.name("group"));
    configs.putAll(more);
    try (var first = new Member(topic, configs)) {
      settle(first);
      try (var second = new Member(topic, configs)) {
        settle(first, second);
        Scenarios.equal(PARTITIONS / 2, first.revoked.size(), "partitions taken from the first member");
      }
      settle(first);
      Scenarios.equal(PARTITIONS / 2, first.revoked.size(), "partitions taken from the first member after the second had left");
    }
  }

  private static Map<String, Object> named(String protocol, String group, String instance) {
    return Consumers.with(Consumers.group(protocol, group), "group.instance.id", instance);
  }

  private void comesBack(String protocol) throws Exception {
    var topic = cluster.topic("static", PARTITIONS);
    var group = cluster.name("group");
    try (var stays = new Member(topic, named(protocol, group, "stays"))) {
      Set<TopicPartition> owned;
      var leaves = new Member(topic, named(protocol, group, "leaves"));
      settle(stays, leaves);
      owned = Set.copyOf(leaves.consumer.assignment());
      int before = stays.assignments;
      leaves.close();
      try (var back = new Member(topic, named(protocol, group, "leaves"))) {
        settle(stays, back);
        Scenarios.equal(owned, back.consumer.assignment(), "partitions of the one that came back");
        Scenarios.equal(before, stays.assignments, "assignments of the one that stayed");
      }
    }
  }

  private void fences() throws Exception {
    var topic = cluster.topic("static", PARTITIONS);
    var group = cluster.name("group");
    var older = new Member(topic, named("classic", group, "one"));
    settle(older);
    try (var newer = new Member(topic, named("classic", group, "one"))) {
      settle(newer);
      Scenarios.refused(FencedInstanceIdException.class, () -> Scenarios.await("a fence", () -> {
        older.poll();
        newer.poll();
        return false;
      }));
    }
    older.consumer.close();
  }

  private void unreleased() throws Exception {
    var topic = cluster.topic("static", PARTITIONS);
    var group = cluster.name("group");
    try (var older = new Member(topic, named("consumer", group, "one"))) {
      settle(older);
      var newer = new Member(topic, named("consumer", group, "one"));
      Scenarios.refused(UnreleasedInstanceIdException.class, () -> Scenarios.await("a refusal", () -> {
        older.poll();
        newer.poll();
        return false;
      }));
      newer.consumer.close();
      settle(older);
    }
  }
}
