import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The cluster the scenarios run against: makes clients of it, topics of names that nobody used, and reads topics whole. */
record Cluster(String bootstrap, String run, AtomicInteger names) {
  static final Duration POLL = Duration.ofMillis(100);

  Cluster(String bootstrap) {
    this(bootstrap, Long.toString(System.currentTimeMillis(), 36), new AtomicInteger());
  }

  /** A name for a topic, group or transactional id that nobody used. */
  String name(String what) {
    return "java-%s-%s-%d".formatted(what, run, names.incrementAndGet());
  }

  Admin admin() {
    return Admin.create(Map.of("bootstrap.servers", bootstrap));
  }

  String topic(String what, int partitions) throws Exception {
    return topic(what, partitions, Map.of());
  }

  String topic(String what, int partitions, Map<String, String> configs) throws Exception {
    var name = name(what);
    try (var admin = admin()) {
      admin.createTopics(List.of(new NewTopic(name, Optional.of(partitions), Optional.empty()).configs(configs))).all().get();
    }
    return name;
  }

  KafkaProducer<String, String> producer(Map<String, Object> configs) {
    var all = new HashMap<String, Object>(configs);
    all.put("bootstrap.servers", bootstrap);
    return new KafkaProducer<>(all, new StringSerializer(), new StringSerializer());
  }

  KafkaProducer<String, String> transactional(String id, Map<String, Object> configs) {
    var all = new HashMap<String, Object>(configs);
    all.put("transactional.id", id);
    var producer = producer(all);
    producer.initTransactions();
    return producer;
  }

  KafkaConsumer<String, String> consumer(Map<String, Object> configs) {
    var all = new HashMap<String, Object>(configs);
    all.put("bootstrap.servers", bootstrap);
    all.putIfAbsent("auto.offset.reset", "earliest");
    all.putIfAbsent("enable.auto.commit", false);
    return new KafkaConsumer<>(all, new StringDeserializer(), new StringDeserializer());
  }

  /** Sends {@code count} records "key-0 … key-9" → "0 … count - 1" and waits for their acks. */
  void fill(String topic, int count) {
    try (var producer = producer(Map.of())) {
      for (int i = 0; i < count; i++) producer.send(new ProducerRecord<>(topic, "key-" + i % 10, Integer.toString(i)));
    }
  }

  /** Every record of a topic up to its ends (the last stable offsets, with read_committed), partition after partition. */
  List<ConsumerRecord<String, String>> read(String topic, String isolation) {
    var found = new ArrayList<ConsumerRecord<String, String>>();
    try (var consumer = consumer(Map.of("isolation.level", isolation))) {
      for (var info : consumer.partitionsFor(topic)) {
        var partition = new TopicPartition(topic, info.partition());
        consumer.assign(List.of(partition));
        consumer.seekToBeginning(List.of(partition));
        long end = consumer.endOffsets(List.of(partition)).get(partition);
        while (consumer.position(partition) < end) consumer.poll(POLL).forEach(found::add);
      }
    }
    return found;
  }

  List<String> values(String topic, String isolation) {
    return read(topic, isolation).stream().map(ConsumerRecord::value).toList();
  }

  /** What is committed of a topic whose transactions have all ended: an end is acked before its markers are written. */
  List<String> committed(String topic) throws InterruptedException {
    Scenarios.await("the markers of " + topic + " are written", () -> ends(topic, "read_committed").equals(ends(topic, "read_uncommitted")));
    return values(topic, "read_committed");
  }

  private Map<TopicPartition, Long> ends(String topic, String isolation) {
    try (var consumer = consumer(Map.of("isolation.level", isolation))) {
      return consumer.endOffsets(
          consumer.partitionsFor(topic).stream().map(info -> new TopicPartition(topic, info.partition())).toList());
    }
  }
}
