import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec;
import org.apache.kafka.clients.admin.SharePartitionOffsetInfo;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidRecordStateException;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Share groups (KIP-932): records go to one of several members, come again when they are not done with, and where groups stand. */
record Shares(Cluster cluster) {
  void all(Scenarios scenarios) {
    scenarios.run("share: two take the records of one partition in turn", this::inTurn);
    scenarios.run("share: what is released comes again, what is rejected does not", this::acknowledges);
    scenarios.run("share: what a member had when it closed goes to another", this::closes);
    scenarios.run("share: what a member keeps for too long goes to another, until it is given up", this::expires);
    scenarios.run("share: only what was committed is delivered, if so configured", this::committed);
    scenarios.run("share: a group is listed, described and deleted", this::administrated);
    scenarios.run("share: where a group begins is set and told with the lag", this::offsets);
  }

  /** A group that begins where its topics begin. */
  String group(String... configs) throws Exception {
    var group = cluster.name("share");
    var all = new HashMap<String, String>(Map.of("share.auto.offset.reset", "earliest"));
    for (int i = 0; i < configs.length; i += 2) all.put(configs[i], configs[i + 1]);
    var changes = all.entrySet().stream()
        .map(config -> new AlterConfigOp(new ConfigEntry(config.getKey(), config.getValue()), AlterConfigOp.OpType.SET)).toList();
    try (var admin = cluster.admin()) {
      admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, group), changes)).all().get();
    }
    return group;
  }

  KafkaShareConsumer<String, String> member(String group, String topic, String mode) {
    var configs = Map.<String, Object>of("bootstrap.servers", cluster.bootstrap(), "group.id", group,
        "share.acknowledgement.mode", mode, "max.poll.records", 10);
    var member = new KafkaShareConsumer<>(configs, new StringDeserializer(), new StringDeserializer());
    member.subscribe(List.of(topic));
    return member;
  }

  private void inTurn() throws Exception {
    var topic = cluster.topic("in-turn", 1);
    var group = group();
    cluster.fill(topic, 200);
    var taken = new TreeMap<Integer, Set<String>>();
    try (var first = member(group, topic, "implicit"); var second = member(group, topic, "implicit")) {
      var members = List.of(first, second);
      Scenarios.await("200 records", () -> {
        for (int i = 0; i < 2; i++) {
          var values = taken.computeIfAbsent(i, key -> new HashSet<>());
          members.get(i).poll(Cluster.POLL).forEach(record -> Scenarios.check(values.add(record.value()), record.value() + " came twice"));
        }
        return taken.values().stream().mapToInt(Set::size).sum() >= 200;
      });
      first.commitSync();
      second.commitSync();
    }
    var all = new HashSet<>(taken.get(0));
    taken.get(1).forEach(value -> Scenarios.check(all.add(value), value + " came to both"));
    Scenarios.equal(200, all.size(), "records");
  }

  /** Polls once there are records, for so many. */
  private static Map<String, ConsumerRecord<String, String>> take(KafkaShareConsumer<String, String> member, int count)
      throws InterruptedException {
    var found = new TreeMap<String, ConsumerRecord<String, String>>();
    Scenarios.await(count + " records", () -> {
      member.poll(Cluster.POLL).forEach(record -> found.put(record.value(), record));
      return !found.isEmpty();
    });
    Scenarios.equal(count, found.size(), "records of a poll");
    return found;
  }

  private static void succeeded(Map<?, Optional<org.apache.kafka.common.KafkaException>> results) {
    results.forEach((partition, failure) -> Scenarios.equal(Optional.empty(), failure, "commit of " + partition));
  }

  private void acknowledges() throws Exception {
    var topic = cluster.topic("acknowledges", 1);
    cluster.fill(topic, 3);
    try (var member = member(group(), topic, "explicit")) {
      var first = take(member, 3);
      first.values().forEach(record -> Scenarios.equal(Optional.of((short) 1), record.deliveryCount(), "deliveries of " + record.value()));
      member.acknowledge(first.get("0"), AcknowledgeType.ACCEPT);
      member.acknowledge(first.get("1"), AcknowledgeType.RELEASE);
      member.acknowledge(first.get("2"), AcknowledgeType.REJECT);
      succeeded(member.commitSync());
      var second = take(member, 1);
      Scenarios.equal(Optional.of((short) 2), second.get("1").deliveryCount(), "deliveries of what was released");
      member.acknowledge(second.get("1"));
      succeeded(member.commitSync());
      cluster.fill(topic, 1);
      Scenarios.equal(3L, take(member, 1).get("0").offset(), "offset of what comes next");
    }
  }

  private void closes() throws Exception {
    var topic = cluster.topic("closes", 1);
    var group = group();
    cluster.fill(topic, 5);
    try (var member = member(group, topic, "explicit")) {
      var found = take(member, 5);
      found.values().forEach(record -> member.acknowledge(record, AcknowledgeType.RELEASE));
    }
    try (var member = member(group, topic, "implicit")) {
      var again = take(member, 5);
      again.values().forEach(record -> Scenarios.equal(Optional.of((short) 2), record.deliveryCount(), "deliveries"));
    }
  }

  private void expires() throws Exception {
    var topic = cluster.topic("expires", 1);
    var group = group("share.record.lock.duration.ms", "1000", "share.delivery.count.limit", "2");
    cluster.fill(topic, 1);
    try (var first = member(group, topic, "explicit"); var second = member(group, topic, "explicit")) {
      var kept = take(first, 1).get("0");
      var again = take(second, 1).get("0");
      Scenarios.equal(kept.offset(), again.offset(), "offset of what comes again");
      Scenarios.equal(Optional.of((short) 2), again.deliveryCount(), "deliveries");
      first.acknowledge(kept);
      var refusals = first.commitSync().values().stream().flatMap(Optional::stream).toList();
      Scenarios.check(refusals.size() == 1 && refusals.get(0) instanceof InvalidRecordStateException, "too late: " + refusals);
      Scenarios.await("the record is given up", () -> isDone(group, topic));
    }
    cluster.fill(topic, 1);
    try (var member = member(group, topic, "implicit")) {
      Scenarios.equal(1L, take(member, 1).get("0").offset(), "offset of what comes next");
    }
  }

  /** Whether a group has nothing left to do in any partition of a topic. */
  boolean isDone(String group, String topic) {
    try (var admin = cluster.admin()) {
      int partitions = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
      var asked = Map.of(group, new ListShareGroupOffsetsSpec());
      var told = admin.listShareGroupOffsets(asked).partitionsToOffsetInfo(group).get();
      return IntStream.range(0, partitions).mapToObj(index -> told.get(new TopicPartition(topic, index)))
          .allMatch(found -> found != null && found.lag().equals(Optional.of(0L)));
    } catch (java.util.concurrent.ExecutionException unanswered) {
      // A broker may be being started again.
      return false;
    } catch (Exception stopped) {
      throw new AssertionError(stopped);
    }
  }

  private void committed() throws Exception {
    var topic = cluster.topic("share-committed", 1);
    try (var producer = cluster.transactional(cluster.name("id"), Map.of())) {
      for (var value : List.of("aborted", "committed")) {
        producer.beginTransaction();
        producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>(topic, value)).get();
        if (value.equals("aborted")) producer.abortTransaction(); else producer.commitTransaction();
      }
    }
    try (var member = member(group("share.isolation.level", "read_committed"), topic, "implicit")) {
      Scenarios.equal(Set.of("committed"), take(member, 1).keySet(), "values");
    }
  }

  private void administrated() throws Exception {
    var topic = cluster.topic("administrated", 2);
    var group = group();
    try (var admin = cluster.admin()) {
      try (var member = member(group, topic, "implicit")) {
        Scenarios.await("both partitions", () -> {
          member.poll(Cluster.POLL);
          return partitions(group).equals(Set.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1)));
        });
        var found = admin.describeShareGroups(List.of(group)).all().get().get(group);
        Scenarios.equal(GroupState.STABLE, found.groupState(), "state");
        Scenarios.equal(found.groupEpoch(), found.members().iterator().next().memberEpoch(), "epoch");
        var listed = admin.listGroups(new ListGroupsOptions().withTypes(Set.of(GroupType.SHARE))).all().get();
        Scenarios.check(listed.stream().map(GroupListing::groupId).anyMatch(group::equals), group + " is not listed");
        Scenarios.refused(GroupNotEmptyException.class, () -> admin.deleteShareGroups(List.of(group)).all().get());
      }
      Scenarios.equal(GroupState.EMPTY, admin.describeShareGroups(List.of(group)).all().get().get(group).groupState(), "state");
      admin.deleteShareGroups(List.of(group)).all().get();
      Scenarios.refused(GroupIdNotFoundException.class, () -> admin.describeShareGroups(List.of(group)).all().get());
    }
  }

  private Set<TopicPartition> partitions(String group) {
    var all = new HashSet<TopicPartition>();
    try (var admin = cluster.admin()) {
      admin.describeShareGroups(List.of(group)).all().get().get(group).members()
          .forEach(member -> all.addAll(member.assignment().topicPartitions()));
    } catch (java.util.concurrent.ExecutionException missing) {
      // The first poll has not joined yet.
    } catch (InterruptedException stopped) {
      Thread.currentThread().interrupt();
    }
    return all;
  }

  private void offsets() throws Exception {
    var topic = cluster.topic("share-offsets", 1);
    var partition = new TopicPartition(topic, 0);
    var group = group();
    cluster.fill(topic, 10);
    try (var admin = cluster.admin()) {
      try (var member = member(group, topic, "implicit")) {
        take(member, 10);
        succeeded(member.commitSync());
        Scenarios.refused(GroupNotEmptyException.class, () -> admin.alterShareGroupOffsets(group, Map.of(partition, 4L)).all().get());
      }
      Scenarios.equal(Optional.of(0L), told(group, partition).lag(), "lag after all are done with");
      admin.alterShareGroupOffsets(group, Map.of(partition, 4L)).all().get();
      var told = told(group, partition);
      Scenarios.equal(4L, told.startOffset(), "start that was set");
      Scenarios.equal(Optional.of(6L), told.lag(), "lag");
      try (var member = member(group, topic, "implicit")) {
        Scenarios.equal(4L, take(member, 6).values().iterator().next().offset(), "the first record");
      }
      admin.deleteShareGroupOffsets(group, Set.of(topic)).all().get();
      Scenarios.equal(null, told(group, partition), "offsets that were deleted");
    }
  }

  private SharePartitionOffsetInfo told(String group, TopicPartition partition) throws Exception {
    try (var admin = cluster.admin()) {
      var asked = Map.of(group, new ListShareGroupOffsetsSpec());
      return admin.listShareGroupOffsets(asked).partitionsToOffsetInfo(group).get().get(partition);
    }
  }
}
