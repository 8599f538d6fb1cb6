import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RoundRobinPartitioner;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.utils.Utils;

/** What the Java producer can be told to do: codecs, acks, partitioners, and the records a topic refuses. */
record Producers(Cluster cluster) {
  private static final int COUNT = 2000;

  void all(Scenarios scenarios) {
    for (var codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
      scenarios.run("producer: " + codec, () -> codec(codec));
      scenarios.run("producer: a topic that keeps records with " + codec, () -> recompressed(codec));
    }
    scenarios.run("producer: acks=0 and acks=1", this::acks);
    scenarios.run("producer: keys go by murmur2", this::keyed);
    scenarios.run("producer: round robin", this::roundRobin);
    scenarios.run("producer: time of the broker", this::appendTime);
    scenarios.run("producer: refused records", this::refusals);
  }

  /** Keys, values (null ones too), headers and times come back as they were sent, in order. */
  private void codec(String codec) throws Exception {
    var topic = cluster.topic("codec-" + codec, 1);
    var sent = new ArrayList<ProducerRecord<String, String>>();
    for (int i = 0; i < COUNT; i++) {
      var value = i % 7 == 0 ? null : "value " + "x".repeat(i % 100) + i;
      var record = new ProducerRecord<>(topic, 0, 1_700_000_000_000L + i, "key-" + i, value);
      if (i % 3 == 0) record.headers().add("number", Integer.toString(i).getBytes(StandardCharsets.UTF_8)).add("none", null);
      sent.add(record);
    }
    try (var producer = cluster.producer(Map.of("compression.type", codec, "acks", "all", "linger.ms", 5))) {
      var acked = sent.stream().map(producer::send).toList();
      for (int i = 0; i < COUNT; i++) Scenarios.equal((long) i, acked.get(i).get().offset(), "offset");
    }
    var found = cluster.read(topic, "read_uncommitted");
    Scenarios.equal(COUNT, found.size(), "records");
    for (int i = 0; i < COUNT; i++) same(sent.get(i), found.get(i));
  }

  private static void same(ProducerRecord<String, String> sent, ConsumerRecord<String, String> found) {
    Scenarios.equal(sent.key(), found.key(), "key");
    Scenarios.equal(sent.value(), found.value(), "value of " + sent.key());
    Scenarios.equal(sent.timestamp(), found.timestamp(), "time of " + sent.key());
    Scenarios.equal(sent.headers(), found.headers(), "headers of " + sent.key());
  }

  /** A topic's own codec is the broker's to apply, whatever the producer sends. */
  private void recompressed(String codec) throws Exception {
    var type = codec.equals("none") ? "uncompressed" : codec;
    var topic = cluster.topic("kept-" + codec, 1, Map.of("compression.type", type));
    var other = codec.equals("zstd") ? "gzip" : "zstd";
    try (var producer = cluster.producer(Map.of("compression.type", other))) {
      for (int i = 0; i < 200; i++) producer.send(new ProducerRecord<>(topic, "k", "v" + i));
    }
    Scenarios.equal(IntStream.range(0, 200).mapToObj(i -> "v" + i).toList(), cluster.values(topic, "read_uncommitted"), "values");
  }

  private void acks() throws Exception {
    for (var acks : List.of("0", "1")) {
      var topic = cluster.topic("acks-" + acks, 1);
      try (var producer = cluster.producer(Map.of("acks", acks, "enable.idempotence", false))) {
        var ack = producer.send(new ProducerRecord<>(topic, "k", "v")).get();
        Scenarios.equal(acks.equals("1"), ack.hasOffset(), "an ack with an offset");
      }
      Scenarios.await("the record of acks=" + acks, () -> cluster.values(topic, "read_uncommitted").equals(List.of("v")));
    }
  }

  private void keyed() throws Exception {
    var topic = cluster.topic("keyed", 5);
    cluster.fill(topic, 100);
    for (var record : cluster.read(topic, "read_uncommitted")) {
      var hash = Utils.toPositive(Utils.murmur2(record.key().getBytes(StandardCharsets.UTF_8)));
      Scenarios.equal(hash % 5, record.partition(), "partition of " + record.key());
    }
  }

  private void roundRobin() throws Exception {
    var topic = cluster.topic("round-robin", 4);
    var counts = new HashMap<Integer, Integer>();
    // One at a time: a partitioner that is asked again for a new batch skips a partition.
    try (var producer = cluster.producer(Map.of("partitioner.class", RoundRobinPartitioner.class, "batch.size", 0))) {
      for (int i = 0; i < 40; i++) {
        counts.merge(producer.send(new ProducerRecord<>(topic, "same", "v" + i)).get().partition(), 1, Integer::sum);
      }
    }
    var found = new HashSet<Integer>();
    cluster.read(topic, "read_uncommitted").forEach(record -> found.add(record.partition()));
    Scenarios.equal(counts.keySet(), found, "partitions");
    Scenarios.check(found.size() >= 2, "all records went to one partition");
  }

  private void appendTime() throws Exception {
    var topic = cluster.topic("append-time", 1, Map.of("message.timestamp.type", "LogAppendTime"));
    long before = System.currentTimeMillis();
    try (var producer = cluster.producer(Map.of())) {
      var ack = producer.send(new ProducerRecord<>(topic, 0, 1L, "k", "v")).get();
      Scenarios.check(ack.timestamp() >= before, "the ack has the time " + ack.timestamp());
    }
    var record = cluster.read(topic, "read_uncommitted").get(0);
    Scenarios.equal(TimestampType.LOG_APPEND_TIME, record.timestampType(), "kind of time");
    Scenarios.check(record.timestamp() >= before, "the record has the time " + record.timestamp());
  }

  private void refusals() throws Exception {
    var small = cluster.topic("small", 1, Map.of("max.message.bytes", "1000"));
    var compacted = cluster.topic("compacted", 1, Map.of("cleanup.policy", "compact"));
    var timely = cluster.topic("timely", 1, Map.of("message.timestamp.after.max.ms", "1000"));
    long tomorrow = System.currentTimeMillis() + 86_400_000;
    try (var producer = cluster.producer(Map.of("max.block.ms", 5000, "linger.ms", 0))) {
      Scenarios.refused(
          RecordTooLargeException.class, () -> producer.send(new ProducerRecord<>(small, "k", "x".repeat(2000))).get());
      Scenarios.refused(InvalidRecordException.class, () -> producer.send(new ProducerRecord<>(compacted, "v")).get());
      Scenarios.refused(
          InvalidTimestampException.class, () -> producer.send(new ProducerRecord<>(timely, 0, tomorrow, "k", "v")).get());
      for (var topic : List.of(small, compacted, timely)) {
        Scenarios.equal(0L, producer.send(new ProducerRecord<>(topic, "k", "fine")).get().offset(), "offset after a refusal");
      }
    }
    try (var admin = cluster.admin()) {
      Scenarios.refused(
          UnknownTopicOrPartitionException.class, () -> admin.describeTopics(List.of(cluster.name("missing"))).allTopicNames().get());
    }
  }
}
