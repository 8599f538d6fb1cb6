import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

/** The Java consumer: how it starts, commits and seeks, with a group protocol or without a group. */
record Consumers(Cluster cluster) {
  void all(Scenarios scenarios) {
    for (var protocol : List.of("classic", "consumer")) {
      scenarios.run(protocol + ": commits by hand", () -> commits(protocol));
      scenarios.run(protocol + ": commits by themselves", () -> autoCommit(protocol));
      scenarios.run(protocol + ": where a group starts", () -> resets(protocol));
      scenarios.run(protocol + ": topics by pattern", () -> pattern(protocol));
    }
    scenarios.run("consumer: topics by the broker's pattern", this::brokersPattern);
    scenarios.run("without a group: seek, pause, offsets by time", this::seeks);
  }

  static Map<String, Object> group(String protocol, String group) {
    var configs = new HashMap<String, Object>(Map.of("group.protocol", protocol, "group.id", group, "metadata.max.age.ms", 300));
    if (protocol.equals("classic")) configs.putAll(Map.of("session.timeout.ms", 3000, "heartbeat.interval.ms", 200));
    return configs;
  }

  static Map<String, Object> with(Map<String, Object> configs, Object... more) {
    var all = new HashMap<>(configs);
    for (int i = 0; i < more.length; i += 2) all.put((String) more[i], more[i + 1]);
    return all;
  }

  /** Polls until so many records have come. */
  static Set<String> poll(KafkaConsumer<String, String> consumer, int count) throws InterruptedException {
    var values = new HashSet<String>();
    Scenarios.await(count + " records", () -> {
      consumer.poll(Cluster.POLL).forEach(record -> values.add(record.value()));
      return values.size() >= count;
    });
    return values;
  }

  private void commits(String protocol) throws Exception {
    var topic = cluster.topic("commits", 1);
    var partition = new TopicPartition(topic, 0);
    var group = group(protocol, cluster.name("group"));
    cluster.fill(topic, 100);
    try (var consumer = cluster.consumer(with(group, "max.poll.records", 10))) {
      consumer.subscribe(List.of(topic));
      poll(consumer, 10);
      consumer.commitSync(Map.of(partition, new OffsetAndMetadata(30, "by hand")));
      Scenarios.equal("by hand", consumer.committed(Set.of(partition)).get(partition).metadata(), "metadata");
      var done = new boolean[1];
      consumer.commitAsync(Map.of(partition, new OffsetAndMetadata(40)), (offsets, failure) -> done[0] = failure == null);
      Scenarios.await("the commit", () -> {
        consumer.poll(Cluster.POLL);
        return done[0];
      });
    }
    try (var consumer = cluster.consumer(group)) {
      consumer.subscribe(List.of(topic));
      Scenarios.equal(strings(40, 100), poll(consumer, 60), "records after the committed offset");
    }
  }

  private void autoCommit(String protocol) throws Exception {
    var topic = cluster.topic("auto-commit", 3);
    var group = group(protocol, cluster.name("group"));
    cluster.fill(topic, 100);
    try (var consumer = cluster.consumer(with(group, "enable.auto.commit", true))) {
      consumer.subscribe(List.of(topic));
      poll(consumer, 100);
    }
    try (var producer = cluster.producer(Map.of());
        var consumer = cluster.consumer(group)) {
      producer.send(new ProducerRecord<>(topic, "later")).get();
      consumer.subscribe(List.of(topic));
      Scenarios.equal(Set.of("later"), poll(consumer, 1), "records after the close");
    }
  }

  private void resets(String protocol) throws Exception {
    var topic = cluster.topic("resets", 1);
    long now = System.currentTimeMillis();
    try (var producer = cluster.producer(Map.of())) {
      for (int hours = 5; hours >= 1; hours--) {
        producer.send(new ProducerRecord<>(topic, 0, now - hours * 3_600_000L + 60_000, "k", hours + " h ago"));
      }
    }
    var wanted = Map.of("earliest", 0L, "latest", 5L, "by_duration:PT3H", 2L);
    for (var reset : wanted.entrySet()) {
      try (var consumer = cluster.consumer(with(group(protocol, cluster.name("group")), "auto.offset.reset", reset.getKey()))) {
        consumer.subscribe(List.of(topic), new Paused(consumer));
        assigned(consumer, 1);
        Scenarios.equal(reset.getValue(), consumer.position(new TopicPartition(topic, 0)), "position with " + reset.getKey());
      }
    }
    try (var consumer = cluster.consumer(with(group(protocol, cluster.name("group")), "auto.offset.reset", "none"))) {
      consumer.subscribe(List.of(topic));
      Scenarios.refused(NoOffsetForPartitionException.class, () -> assigned(consumer, 2));
    }
  }

  /** Lets nothing be read, so that a position is where the group starts. */
  private record Paused(KafkaConsumer<String, String> consumer) implements ConsumerRebalanceListener {
    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
      consumer.pause(partitions);
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {}
  }

  static void assigned(KafkaConsumer<String, String> consumer, int partitions) throws InterruptedException {
    Scenarios.await(partitions + " partitions", () -> {
      consumer.poll(Cluster.POLL);
      return consumer.assignment().size() == partitions;
    });
  }

  private void pattern(String protocol) throws Exception {
    var name = cluster.name("pattern");
    try (var consumer = cluster.consumer(group(protocol, name))) {
      consumer.subscribe(Pattern.compile(name + "-(one|two)"));
      grows(consumer, name);
    }
  }

  private void brokersPattern() throws Exception {
    var name = cluster.name("re2");
    try (var consumer = cluster.consumer(group("consumer", name))) {
      consumer.subscribe(new SubscriptionPattern(name + "-(one|two)"));
      grows(consumer, name);
    }
  }

  /** Topics that match come into the subscription as they are created, others do not. */
  private void grows(KafkaConsumer<String, String> consumer, String name) throws Exception {
    int partitions = 0;
    for (var suffix : List.of("three", "one", "two")) {
      try (var admin = cluster.admin()) {
        admin.createTopics(List.of(new NewTopic(name + "-" + suffix, 2, (short) 1))).all().get();
      }
      if (!suffix.equals("three")) assigned(consumer, partitions += 2);
    }
    var topics = new HashSet<String>();
    consumer.assignment().forEach(partition -> topics.add(partition.topic()));
    Scenarios.equal(Set.of(name + "-one", name + "-two"), topics, "topics");
  }

  private void seeks() throws Exception {
    var topic = cluster.topic("seeks", 2);
    var partition = new TopicPartition(topic, 0);
    var other = new TopicPartition(topic, 1);
    try (var producer = cluster.producer(Map.of())) {
      for (int i = 0; i < 100; i++) producer.send(new ProducerRecord<>(topic, 0, 1_700_000_000_000L + i * 1000, "k", "" + i));
      producer.send(new ProducerRecord<>(topic, 1, "k", "other")).get();
    }
    try (var consumer = cluster.consumer(Map.of("max.poll.records", 10, "fetch.min.bytes", 1, "check.crcs", true))) {
      consumer.assign(List.of(partition, other));
      Scenarios.equal(Map.of(partition, 0L, other, 0L), consumer.beginningOffsets(List.of(partition, other)), "beginnings");
      Scenarios.equal(Map.of(partition, 100L, other, 1L), consumer.endOffsets(List.of(partition, other)), "ends");
      var times = consumer.offsetsForTimes(Map.of(partition, 1_700_000_000_000L + 41_500, other, Long.MAX_VALUE));
      Scenarios.equal(42L, times.get(partition).offset(), "offset by time");
      Scenarios.equal(null, times.get(other), "offset after the last time");
      consumer.pause(List.of(other));
      consumer.seek(partition, 90);
      Scenarios.equal(strings(90, 100), poll(consumer, 10), "records after the seek");
      Scenarios.equal(0L, consumer.currentLag(partition).getAsLong(), "lag");
      consumer.seekToEnd(List.of(partition));
      Scenarios.equal(100L, consumer.position(partition), "position at the end");
      consumer.resume(List.of(other));
      Scenarios.equal(Set.of("other"), poll(consumer, 1), "records of the resumed partition");
      consumer.seek(partition, 10_000);
      Scenarios.equal(strings(0, 10), poll(consumer, 10), "records after a seek out of range");
    }
    Scenarios.refused(KafkaException.class, () -> {
      try (var consumer = cluster.consumer(Map.of("auto.offset.reset", "none"))) {
        consumer.assign(List.of(partition));
        consumer.seek(partition, 10_000);
        for (int i = 0; i < 50; i++) consumer.poll(Duration.ofMillis(100));
      }
    });
  }

  static Set<String> strings(int from, int to) {
    return new HashSet<>(IntStream.range(from, to).mapToObj(Integer::toString).toList());
  }
}
